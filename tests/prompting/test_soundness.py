"""What is said of a set of demonstrations without a model."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.prompting.learning import Foretold, learning_of
from yofo_mlx.prompting.soundness import ALIKE, is_sorted, look, sortedness
from yofo_mlx.tasks.task import Example

LABELS = ["a", "b", "c", "d"]


def of(*pairs: tuple[str, str]) -> list[Example]:
    return [Example(*pair) for pair in pairs]


def test_label_after_label_is_sorted_and_labels_in_turn_are_not() -> None:
    assert sortedness(sorted(LABELS * 5)) == 1
    assert is_sorted(sorted(LABELS * 5))
    assert not is_sorted(LABELS * 5)
    assert is_sorted(["a"] * 5 + ["b"] * 4 + ["a", "b"])


@pytest.mark.parametrize("labels", [[], ["a"], ["a"] * 30, list("abcdefghijkl"), ["a", "b"]])
def test_of_few_rows_or_one_label_no_order_is_told(labels: list[str]) -> None:
    assert sortedness(labels) is None and not is_sorted(labels)


def test_rows_with_the_same_input_are_doublets_or_contradict_one_another() -> None:
    found = look(of(("x", "a"), ("y", "b"), (" x ", "a"), ("x", "b"), ("z", "a"), ("z2", "b")))
    assert found.doublets == [(0, 2)]
    assert found.contradictions == [(0, 3)]


def test_labels_that_come_far_less_often_than_usual_are_rare() -> None:
    rows = [(f"{label} {n}", label) for label in "abc" for n in range(8)]
    assert look(of(*rows, ("odd", "d"))).rare == {"d": 1}
    assert look(of(*rows)).rare == {}


@given(st.lists(st.text("ab ", max_size=14), max_size=7))
@draws(40)
def test_near_duplicates_are_those_that_a_comparison_of_all_pairs_finds(texts: list[str]) -> None:
    texts = list(dict.fromkeys(" ".join(text.split()) for text in texts))
    sets = [{text[at : at + 5] for at in range(max(1, len(text) - 4))} for text in texts]
    expected = [
        (one, two)
        for one, two in combinations(range(len(texts)), 2)
        if len(sets[one] & sets[two]) >= ALIKE * len(sets[one] | sets[two])
    ]
    found = look([Example(text, "x") for text in texts]).near_duplicates
    assert sorted(found) == expected


def foretold(losses: list[float], right: list[bool]) -> list[Foretold]:
    return [Foretold(loss, is_right) for loss, is_right in zip(losses, right, strict=True)]


def test_a_task_is_understood_where_labels_are_expected_more_often_than_by_chance() -> None:
    flat = [1.0 + 0.1 * (n % 2) for n in range(40)]
    assert learning_of(foretold(flat, [True] * 40), 0.25).is_understood is True
    guessed = learning_of(foretold(flat, [n % 4 == 0 for n in range(40)]), 0.25)
    assert guessed.is_understood is False and "no sign" in guessed.told
    assert (
        "expected 3 of the last 10" in guessed.told or "expected 2 of the last 10" in guessed.told
    )


def test_what_still_gets_better_is_told_from_what_has_levelled_off() -> None:
    noise = [0.1 * (n % 3) for n in range(40)]
    falling = [2 - n / 20 + some for n, some in enumerate(noise)]
    assert learning_of(foretold(falling, [True] * 40), 0.25).is_improving is True
    assert learning_of(foretold(noise, [True] * 40), 0.25).is_improving is False


def test_of_few_answers_nothing_is_claimed() -> None:
    found = learning_of(foretold([0.0] * 5, [True] * 5), 0.5)
    assert (found.is_understood, found.is_improving) == (None, None)
    assert [(one.first, one.last) for one in found.curve] == [(1, 1), (2, 3), (4, 5)]


def test_answers_that_are_no_labels_are_told_in_nats_alone() -> None:
    found = learning_of([Foretold(3 - n / 10 + 0.1 * (n % 2)) for n in range(24)], 0.0)
    assert found.is_understood is True and "nats" in found.told
    level = learning_of([Foretold(1 + 0.1 * (n % 2)) for n in range(24)], 0.0)
    assert level.is_understood is None
