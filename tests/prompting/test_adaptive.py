import math

from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.prompting.adaptive import best_threshold

READINGS = st.lists(
    st.lists(st.tuples(st.floats(0, 9), st.booleans()), min_size=1, max_size=4), max_size=6
)


def stopped(threshold: float, readings: list[list[tuple[float, bool]]]) -> tuple[int, int]:
    """Right answers, and how many steps were taken."""
    right = steps = 0
    for one in readings:
        for place, (entropy, is_right) in enumerate(one):
            if entropy < threshold or place == len(one) - 1:
                right, steps = right + is_right, steps + place
                break
    return right, steps


@draws(100)
@given(READINGS)
def test_no_other_threshold_is_right_more_often_or_as_often_with_fewer_shots(
    readings: list[list[tuple[float, bool]]],
) -> None:
    right, steps = stopped(best_threshold(readings), readings)
    everything = {entropy for one in readings for entropy, _ in one} | {0.0, math.inf}
    for other in everything:
        found, taken = stopped(other, readings)
        assert (found, -taken) <= (right, -steps)


def test_an_answer_that_more_shots_spoil_is_given_early() -> None:
    assert best_threshold([[(2.0, True), (1.0, False)]]) == math.inf


def test_an_answer_that_needs_more_shots_waits_for_them() -> None:
    assert best_threshold([[(2.0, False), (0.5, True)], [(0.4, True), (0.3, True)]]) <= 2.0
