"""Tiles that are evaluated at once, in chunks, equal those that are not."""

from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from tests.gradients.test_chunked import batch_of, episode, llama, run
from yofo_mlx.gradients import Dials, exponents
from yofo_mlx.gradients.tiles import Postponed, attend
from yofo_mlx.system.powers import power_of_two


def test_powers_of_two_are_those_of_higher_precision() -> None:
    given = np.random.default_rng(0).uniform(-60, 0, 1001).astype(np.float32)
    found = np.array(power_of_two(mx.array(given), mx.zeros((1,))), dtype=np.float64)
    # The exponent times ln 2 is rounded: that weighs most where the power is next to nothing.
    off = np.abs(found / 2.0 ** given.astype(np.float64) - 1)
    assert (off < 2e-7 + 6e-8 * np.abs(given)).all()


def test_a_level_that_lies_in_the_scores_is_no_level() -> None:
    scores = mx.array([[1.0], [2.0]])  # of one column, which is its own maximum
    with pytest.raises(AssertionError):
        power_of_two(scores, scores.max(axis=-1, keepdims=True))


@pytest.mark.parametrize("mask", [None, "causal", "array", "added"])
@pytest.mark.parametrize("with_sinks", [False, True])
def test_the_results_are_the_same_but_for_rounding(mask: str | None, with_sinks: bool) -> None:
    mx.random.seed(3)
    q, k, v = (mx.random.normal((2, heads, 300, 16)) for heads in (4, 2, 2))
    masks = {
        "array": mx.tri(300, 300, dtype=mx.bool_),
        "added": mx.random.normal((300, 300)),
    }
    options = {"scale": 0.25, "mask": masks.get(str(mask), mask)}
    sinks = mx.random.normal((4,)) if with_sinks else None
    lazily = attend(q, k, v, sinks=sinks, **options)
    at_once = attend(q, k, v, sinks=sinks, at_once=True, **options)
    for one, other in zip(lazily, at_once, strict=True):
        assert mx.allclose(one, other, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("mask", [None, "causal", "array"])
@pytest.mark.parametrize("cap", [None, 0.7])
def test_postponed_gradients_are_those_of_the_graph(mask: str | None, cap: float | None) -> None:
    mx.random.seed(4)
    q, k, v = (mx.random.normal((2, heads, 300, 16)) for heads in (4, 2, 2))
    sinks, slope = mx.random.normal((4,)), mx.random.normal(q.shape)
    options: dict[str, Any] = {"scale": 0.25, "cap": cap}
    options["mask"] = mx.tri(300, 300, dtype=mx.bool_) if mask == "array" else mask
    kept = attend(q, k, v, sinks=sinks, **options)

    def gradients(postponed: Postponed | None) -> list[mx.array]:
        def output(q: mx.array, k: mx.array, v: mx.array, sinks: mx.array) -> mx.array:
            more = {"kept": kept, "postponed": postponed}
            return attend(2 * q, k, v, sinks=sinks, **options, **more)[0] * slope  # type: ignore[arg-type]

        _, found = mx.vjp(output, [q / 2, k, v, sinks], [slope])
        for compute in postponed or []:
            compute()
        return found

    for one, other in zip(gradients(None), gradients([]), strict=True):
        assert mx.linalg.norm(one - other) < 2e-6 * mx.linalg.norm(one)


def test_chunks_take_it_both_ways_and_what_is_differentiated_whole_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []

    def counted(scores: mx.array, level: mx.array) -> mx.array:
        taken.append(scores.size)
        return power_of_two(scores, level)

    monkeypatch.setattr(exponents, "power_of_two", counted)
    batch = batch_of(episode(40, [(5, 8), (35, 38)]))
    run(llama(layers=2), batch, None)
    assert not taken
    run(llama(layers=2), batch, Dials(16, 2))
    assert len(taken) == 2 * 2 * (1 + 2 + 3)  # tiles: of two layers, there and back
