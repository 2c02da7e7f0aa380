"""Tiles that are evaluated at once, in the forward pass of chunks, equal those that are not."""

import mlx.core as mx
import numpy as np
import pytest

from tests.gradients.test_chunked import batch_of, episode, llama, run
from yofo_mlx.gradients import Dials, tiles
from yofo_mlx.gradients.tiles import attend
from yofo_mlx.system.powers import power_of_two


def test_powers_of_two_are_those_of_higher_precision() -> None:
    given = np.random.default_rng(0).uniform(-60, 0, 1001).astype(np.float32)
    found = np.array(power_of_two(mx.array(given)), dtype=np.float64)
    assert np.abs(found / 2.0 ** given.astype(np.float64) - 1).max() < 2e-7


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


def test_chunks_take_it_forward_and_what_is_differentiated_whole_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []

    def counted(exponents: mx.array) -> mx.array:
        taken.append(exponents.size)
        return power_of_two(exponents)

    monkeypatch.setattr(tiles, "power_of_two", counted)
    batch = batch_of(episode(40, [(5, 8), (35, 38)]))
    run(llama(layers=2), batch, None)
    assert not taken
    run(llama(layers=2), batch, Dials(16, 2))
    assert len(taken) == 2 * (1 + 2 + 3)  # tiles: of two layers, once each
