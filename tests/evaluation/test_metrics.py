"""Metrics against figures worked out by hand, and against naive twins."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.evaluation.metrics import METRICS, beside, score


@pytest.mark.parametrize(
    ("metric", "answer", "expected", "value"),
    [
        ("exact", " card arrival\n", "card arrival", 1.0),
        ("exact", "Card Arrival", "card arrival", 0.0),
        ("exact", "card", "cards", 0.0),
        ("number", "first 7, then 8", "7", 0.0),
        ("number", "1/2", "3/2", 0.0),
        ("number", "none at all", "7", 0.0),
        ("number", "x^y", "x^y", 1.0),
        ("number", "9" * 5000, "9" * 5000, 1.0),
        ("number", "1/" + "9" * 5000, "1", 0.0),
        ("f1", "a very good idea", "Good idea!", 4 / 5),
        ("f1", "Paris, the capital", "Paris", 2 / 3),
        ("f1", "", "b", 0.0),
        ("f1", "the", "a", 0.0),
        ("f1", "北京市", "北京。", 4 / 5),
        ("rouge", "the cat sat on the mat", "the cat lay on the mat", 10 / 12),
        ("rouge", "mat the on", "on the mat", 2 / 6),
        ("rouge", "Agreements were signed", "signing an agreement", 2 / 6),
        ("rouge", "她昨天去了北京", "她去了北京。", 10 / 12),
        ("rouge", "Η γάτα κάθεται", "η γάτα", 4 / 5),
        ("rouge", "!!", "?", 0.0),
    ],
)
def test_a_metric_gives_the_figure_worked_out_by_hand(
    metric: str, answer: str, expected: str, value: float
) -> None:
    assert score(answer, expected, metric=metric) == pytest.approx(value)


@pytest.mark.parametrize(
    ("answer", "expected", "separator", "value"),
    [
        ("joy, anger", "anger, joy", ", ", 1.0),
        ("joy", "anger, joy", ", ", 2 / 3),
        ("joy, anger", "joy", ", ", 2 / 3),
        ("joy, joy", "joy", ", ", 1.0),
        ("credit score", "credit card", ", ", 0.0),
        ("a + c", "a + b", " + ", 1 / 2),
        ("Ann Bob", "Bob Ann", " ", 1.0),
    ],
)
def test_labels_are_compared_as_sets(
    answer: str, expected: str, separator: str, value: float
) -> None:
    found = score(answer, expected, metric="f1", separator=separator)
    assert found == pytest.approx(value)


def test_a_worked_solution_is_scored_by_the_number_after_the_mark_or_by_its_last_one() -> None:
    expected = "Five and three make 8.\n#### 1,008"
    for answer, value in (("#### 1008", 1.0), ("it makes 1008 in all.", 1.0), ("1008 #### 8", 0.0)):
        assert score(answer, expected, metric="number", answer_after="####") == value


def test_only_what_follows_the_mark_is_compared() -> None:
    assert score("so 3 + 4 is 7 #### 7", "four #### 7", metric="exact", answer_after="####") == 1.0
    assert score("#### 8", "#### 7", metric="exact", answer_after="####") == 0.0


@given(metric=st.sampled_from(list(METRICS)), answer=st.text(), expected=st.text())
def test_scores_are_between_0_and_1_and_an_answer_equals_itself(
    metric: str, answer: str, expected: str
) -> None:
    assert 0.0 <= score(answer, expected, metric=metric) <= 1.0
    assert score(expected, expected, metric=metric) == 1.0


@given(
    metric=st.sampled_from(list(METRICS)),
    answer=st.sampled_from(["5", "Ann", "an old cat", '{"a": 1}']),
    expecteds=st.lists(st.sampled_from(["5", "Bob", "old cats", '{"a": 1, "b": 2}']), min_size=1),
)
def test_an_answer_is_as_good_as_against_the_best_of_the_expected_ones(
    metric: str, answer: str, expecteds: list[str]
) -> None:
    one_by_one = [score(answer, expected, metric=metric) for expected in expecteds]
    assert score(answer, *expecteds, metric=metric) == max(one_by_one)


def squad_words(text: str) -> list[str]:
    """What the SQuAD paper's script compares, said another way; for ASCII."""
    kept = "".join(letter for letter in text.lower() if letter.isalnum() or letter.isspace())
    return [word for word in kept.split() if word not in {"a", "an", "the"}]


@given(*[st.lists(st.sampled_from("the The a An cat Cat's cat, 12 mat. (mat)".split()))] * 2)
def test_short_answers_are_compared_as_squad_does(found: list[str], wanted: list[str]) -> None:
    answer, expected = " ".join(found), " ".join(wanted)
    one, two = squad_words(answer), squad_words(expected)
    if not two:
        return
    left = list(two)
    common = sum(1 for word in one if word in left and not left.remove(word))
    precision, recall = common / max(1, len(one)), common / len(two)
    f1 = 2 * precision * recall / (precision + recall) if common else 0.0
    assert score(answer, expected, metric="f1") == pytest.approx(f1)
    assert beside([answer], [[expected]], metric="f1") == {"exact_match": float(one == two)}


LABELS = st.sets(st.sampled_from("joy anger fear pride".split()), min_size=1)


@given(pairs=st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=8))
def test_micro_and_macro_f1_are_those_of_scikit_learn(
    pairs: list[tuple[set[str], set[str]]],
) -> None:
    """Its definitions, said label by label: 2 tp / (2 tp + fp + fn), of sums or averaged."""
    counts = {}
    for label in set.union(*(one | two for one, two in pairs)):
        tp = sum(label in one and label in two for one, two in pairs)
        fp = sum(label in one and label not in two for one, two in pairs)
        fn = sum(label not in one and label in two for one, two in pairs)
        counts[label] = (tp, fp, fn)
    tp, fp, fn = (sum(column) for column in zip(*counts.values(), strict=True))
    macro = [2 * a / (2 * a + b + c) for a, b, c in counts.values()]
    answers = ["|".join(one) for one, _ in pairs]
    expecteds = [["|".join(two)] for _, two in pairs]
    found = beside(answers, expecteds, metric="f1", separator="|")
    assert found["micro_f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert found["macro_f1"] == pytest.approx(sum(macro) / len(macro))


def test_what_stands_beside_a_mean_is_of_the_same_answers_and_the_best_expected_ones() -> None:
    texts = ["the cats sat", "no"], [["a cat sat", "cats"], ["dogs", "no"]]
    found = beside(*texts, metric="rouge")
    assert found == {
        "rouge1": pytest.approx((2 / 3 + 1) / 2),
        "rouge2": pytest.approx((1 / 2 + 1) / 2),
    }
    assert beside(["x"], [["x"]], metric="exact") == {}
    assert beside([], [], metric="f1", separator=", ") == {}


PERSON = '{"name": "Ann Lee", "age": 41, "tags": ["a", "b"], "home": {"city": "Rome"}, "x": []}'


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (PERSON, 1.0),
        (f"```json\n{PERSON}\n```", 1.0),
        (
            '{"home": {"city": " rome "}, "age": 41.0, "tags": ["b", "a", "b"], "name": "ann lee"}',
            1,
        ),
        ('{"name": "Ann Lee", "age": "41", "tags": ["a"], "city": "Rome", "y": null}', 2 * 2 / 9),
        ('{"name": "Ann Lee", "age": true, "tags": "a"}', 2 * 2 / 8),
        ("{}", 0.0),
        ('{"name": "Ann Lee"', 0.0),
        ("Ann Lee, 41", 0.0),
        ("41", 0.0),
        ("[" * 100_000, 0.0),
        ("", 0.0),
    ],
)
def test_json_answers_are_compared_field_by_field(answer: str, value: float) -> None:
    assert score(answer, PERSON, metric="fields") == pytest.approx(value)
    assert beside([answer], [[PERSON]], metric="fields") == {"all_fields": float(value == 1)}


VALUES = st.recursive(
    st.sampled_from([None, True, 1, 1.5, float("nan"), "x", "", "Y y"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES)


@given(OBJECTS, OBJECTS)
def test_the_order_of_fields_and_the_spaces_between_them_do_not_matter(
    one: dict[str, object], two: dict[str, object]
) -> None:
    plain, other = json.dumps(one), json.dumps(two)
    spread = json.dumps(dict(reversed(one.items())), indent=3)
    assert score(spread, plain, metric="fields") == 1.0
    assert score(plain, other, metric="fields") == score(other, spread, metric="fields")


def test_an_answer_of_blank_lines_takes_no_time() -> None:
    started = time.process_time()
    assert score("```\n" + "\n" * 5000 + "x", "{}", metric="fields") == 0.0
    assert time.process_time() - started < 1.0
