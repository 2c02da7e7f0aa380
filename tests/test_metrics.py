"""Metrics against figures worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.metrics import METRICS, score


@pytest.mark.parametrize(
    ("metric", "answer", "expected", "value"),
    [
        ("exact", " Card  Arrival", "card arrival", 1.0),
        ("exact", "card", "cards", 0.0),
        ("f1", "joy, anger", "anger, joy", 1.0),
        ("f1", "joy", "anger, joy", 2 / 3),
        ("f1", "very good idea", "a good idea", 2 / 3),
        ("f1", "", "a", 0.0),
        ("rouge", "the cat sat on the mat", "the cat lay on the mat", 10 / 12),
        ("rouge", "mat the on", "on the mat", 2 / 6),
    ],
)
def test_a_metric_gives_the_figure_worked_out_by_hand(
    metric: str, answer: str, expected: str, value: float
) -> None:
    assert score(metric, answer, expected) == pytest.approx(value)


def test_only_what_follows_the_mark_is_compared() -> None:
    assert score("exact", "so 3 + 4 is 7 #### 7", "three and four #### 7", "####") == 1.0
    assert score("exact", "#### 8", "#### 7", "####") == 0.0


@given(metric=st.sampled_from(list(METRICS)), answer=st.text(), expected=st.text())
def test_scores_are_between_0_and_1_and_an_answer_equals_itself(
    metric: str, answer: str, expected: str
) -> None:
    assert 0.0 <= score(metric, answer, expected) <= 1.0
    assert score(metric, expected, expected) == 1.0
