"""Metrics against figures worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.evaluation.metrics import METRICS, score


@pytest.mark.parametrize(
    ("metric", "answer", "expected", "value"),
    [
        ("exact", " card arrival\n", "card arrival", 1.0),
        ("exact", "Card Arrival", "card arrival", 0.0),
        ("exact", "card", "cards", 0.0),
        ("number", "so it makes 1,000.", "1000", 1.0),
        ("number", "It is $18.00", "18", 1.0),
        ("number", "1,234,567 apples", "1234567.0", 1.0),
        ("number", "1,000, and no more", "1000", 1.0),
        ("number", "minus: \u22123", "-3", 1.0),
        ("number", "10-3", "3", 1.0),
        ("number", "x = -4", "4", 0.0),
        ("number", "first 7, then 8", "7", 0.0),
        ("number", "1/2", "3/2", 0.0),
        ("number", "0.5", "1/2", 1.0),
        ("number", "2.5e3", "2500", 1.0),
        ("number", "none at all", "7", 0.0),
        ("number", "x^y", "x^y", 1.0),
        ("number", "9" * 5000, "9" * 5000, 1.0),
        ("number", "1/0", "1/0", 1.0),
        ("f1", "very good idea", "a good idea", 2 / 3),
        ("f1", "Paris, the capital", "Paris", 1 / 2),
        ("f1", "", "a", 0.0),
        ("rouge", "the cat sat on the mat", "the cat lay on the mat", 10 / 12),
        ("rouge", "mat the on", "on the mat", 2 / 6),
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
