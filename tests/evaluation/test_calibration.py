"""Calibration error, and a temperature that is taken only where it helps."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.evaluation import calibration
from yofo_mlx.evaluation.calibration import (
    BINS,
    Judged,
    Reliability,
    calibrate,
    fit_temperature,
    loss,
    reliability,
    softmax,
)


def answers(count: int, heat: float, seed: int = 0, labels: int = 4) -> list[Judged]:
    """Return answers whose right temperature is `heat`: labels are drawn from that softmax."""
    random = np.random.default_rng(seed)
    found = []
    for logits in random.normal(0, 2, (count, labels)):
        right = int(random.choice(labels, p=softmax(logits)))
        found.append((logits * heat, right))
    return found


@draws(40)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_the_error_is_that_of_its_definition(pairs: list[tuple[float, bool]]) -> None:
    """Guo et al., eq. 3: the sum over bins of |accuracy - confidence| times the bin's share."""
    found = Reliability()
    for share, right in pairs:
        found.add(share, right)
    expected = 0.0
    for place in range(BINS):
        of_bin = [pair for pair in pairs if min(int(pair[0] * BINS), BINS - 1) == place]
        if of_bin:
            confidence = np.mean([share for share, _ in of_bin])
            accuracy = np.mean([right for _, right in of_bin])
            expected += len(of_bin) / len(pairs) * abs(accuracy - confidence)
    assert found.error == pytest.approx(expected, abs=1e-9)
    assert sum(row["count"] for row in found.rows()) == len(pairs)


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_that_made_the_answers(heat: float) -> None:
    assert fit_temperature(answers(4000, heat)) == pytest.approx(heat, rel=0.1)


@draws(20)
@given(st.integers(0, 1000), st.floats(0.3, 5))
def test_no_other_temperature_has_less_loss(seed: int, heat: float) -> None:
    judged = answers(30, heat, seed)
    best = fit_temperature(judged)
    for other in (best * 0.9, best * 1.1):
        assert loss(judged, best) <= loss(judged, other) + 1e-9


def test_a_temperature_is_taken_where_it_helps_rows_it_was_not_fitted_on() -> None:
    sure = answers(200, 4.0)
    found = calibrate(sure)
    assert found.temperature == pytest.approx(4, rel=0.4)
    assert found.error_after is not None and found.error_before is not None
    assert found.error_after < found.error_before
    fresh = answers(2000, 4.0, seed=1)
    assert reliability(fresh, found.temperature).error < reliability(fresh).error / 2


def test_no_temperature_is_taken_where_there_is_nothing_to_mend_or_to_judge_by() -> None:
    few = calibrate(answers(calibration.LEAST - 1, 4.0))
    assert (few.temperature, few.error_before) == (1.0, None)
    assert "are wanted" in few.reason
    judged = [answers(200, 1.0, seed) for seed in range(20)]
    taken = [calibrate(one) for one in judged]
    assert all(one.reason or abs(one.temperature - 1) < 0.3 for one in taken)
    assert any(one.reason for one in taken)


def test_always_right_and_always_wrong_answers_end_at_a_bound() -> None:
    logits = np.array([0.0, -1.0])
    assert fit_temperature([(logits, 0)] * 30) == pytest.approx(1 / 20, rel=0.01)
    assert fit_temperature([(logits, 1)] * 30) == pytest.approx(20, rel=0.01)


@pytest.mark.parametrize("suffix", [".svg"])
def test_the_picture_is_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    calibration.draw(path, reliability(answers(50, 2.0)), "$file_1.csv")
    assert path.stat().st_size > 1000
    if suffix == ".svg":
        assert "share of right answers" in path.read_text("utf-8")
