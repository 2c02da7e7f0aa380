"""The greedy choice and the scores of rows, against definitions written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.draws import draws
from yofo_mlx.errors import RecipeError
from yofo_mlx.selecting.davir import by_score, learned
from yofo_mlx.selecting.delift import facility_location, utility
from yofo_mlx.selecting.settings import read_settings

# Eighths: sums are exact, so that equal gains are equal.
matrices = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 7), st.integers(1, 5)),
    elements=st.integers(-8, 8).map(lambda eighths: eighths / 8),
)


def worth(matrix: np.ndarray, chosen: list[int]) -> float:
    """Return sum_j max_{i chosen} max(0, matrix[i, j]), from its words."""
    columns = range(matrix.shape[1])
    return sum(max([0.0, *(matrix[i][j] for i in chosen)]) for j in columns)


def naive(matrix: np.ndarray) -> tuple[list[int], list[float]]:
    order: list[int] = []
    added = [0.0] * len(matrix)
    since: list[int] = []  # chosen since the last time that nothing was left to gain
    while len(order) < len(matrix):
        left = [row for row in range(len(matrix)) if row not in order]
        gains = [worth(matrix, [*since, row]) - worth(matrix, since) for row in left]
        if max(gains) <= 0 and worth(matrix, since) > 0:
            since = []
            continue
        best = left[gains.index(max(gains))]
        added[best] = max(gains)
        order.append(best)
        since.append(best)
    return order, added


@given(matrices)
@draws(100)
def test_the_greedy_choice_is_that_of_its_definition(matrix: np.ndarray) -> None:
    order, added = facility_location(matrix)
    assert (order, added) == naive(matrix)
    assert sorted(order) == list(range(len(matrix)))


@given(matrices, st.data())
@draws(50)
def test_the_first_of_the_choice_are_nearly_as_good_as_the_best(
    matrix: np.ndarray, data: st.DataObject
) -> None:
    from itertools import combinations

    size = data.draw(st.integers(1, len(matrix)))
    best = max(worth(matrix, list(some)) for some in combinations(range(len(matrix)), size))
    found = worth(matrix, facility_location(matrix)[0][:size])
    assert found >= (1 - 1 / math.e) * best - 1e-12  # Nemhauser, Wolsey, Fisher 1978


@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=6), st.data())
@draws(50)
def test_a_utility_is_the_distance_to_certainty_that_is_gained(
    before: list[float], data: st.DataObject
) -> None:
    after = data.draw(st.lists(st.floats(0.0, 30.0), min_size=len(before), max_size=len(before)))

    def distance(losses: list[float]) -> float:
        return math.sqrt(sum((1 - math.exp(-loss)) ** 2 for loss in losses) / len(losses))

    found = utility(np.array(before, np.float32), np.array(after, np.float32))
    assert found == pytest.approx(distance(before) - distance(after), abs=1e-6)


def test_what_was_learned_is_a_share_of_the_loss() -> None:
    assert learned(2.0, 0.5) == 0.75
    assert learned(0.1, 0.2) == -1.0
    assert learned(0.0, 0.0) == 0.0
    assert learned(None, 0.5) is None and learned(1.0, None) is None
    assert by_score([0.1, None, 0.9, 0.1, -2.0]) == [2, 0, 3, 4, 1]


def test_a_share_or_a_number_of_each_tasks_rows_is_kept() -> None:
    assert [read_settings("random", 0.5, None, None, 1).count(n) for n in (1, 2, 7)] == [1, 1, 4]
    assert [read_settings("random", None, 3, None, 1).count(n) for n in (1, 3, 7)] == [1, 3, 3]
    assert read_settings("delift", None, None, None, 1).count(10) == 3
    assert read_settings("delift", 1.0, None, None, 1).count(10) == 10
    assert read_settings("delift", 1e-9, None, None, 1).count(10) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("best", None, None, None, 1), "'best'"),
        (("delift", 0.5, 3, None, 1), "both say how many"),
        (("delift", 0.0, None, None, 1), "no share"),
        (("delift", 1.5, None, None, 1), "no share"),
        (("delift", float("nan"), None, None, 1), "no share"),
        (("davir", 0.5, None, None, 1), "compares the base with a run"),
        (("delift", 0.5, None, "last", 1), "asks no run"),
    ],
)
def test_options_that_contradict_are_refused(options: tuple[object, ...], words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        read_settings(*options)  # type: ignore[arg-type]
    assert caught.value.hint
