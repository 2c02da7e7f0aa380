"""Tiled attention against MLX's own, forward and gradients."""

import mlx.core as mx
import numpy as np
import pytest

from yofo_mlx.longcontext.attention import QUERY_TILE, attention, tiled_attention


@pytest.mark.parametrize(
    ("queries", "keys"),
    [(1, 9), (QUERY_TILE, QUERY_TILE), (QUERY_TILE + 1, QUERY_TILE + 1), (150, 301)],
)
@pytest.mark.parametrize("mask", [None, "causal"])
def test_tiles_give_what_the_whole_gives(queries: int, keys: int, mask: str | None) -> None:
    mx.random.seed(0)
    q = mx.random.normal((2, 4, queries, 16))
    k, v = mx.random.normal((2, 2, 2, keys, 16))
    weight = mx.random.normal(q.shape)

    def results(function: object) -> tuple[mx.array, list[mx.array]]:
        def summed(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
            return (function(q, k, v, scale=0.25, mask=mask) * weight).sum()  # type: ignore[operator]

        loss, gradients = mx.value_and_grad(summed, argnums=(0, 1, 2))(q, k, v)
        return loss, list(gradients)

    whole, tiled = results(mx.fast.scaled_dot_product_attention), results(attention)
    assert tiled[0].item() == pytest.approx(whole[0].item(), abs=1e-3)
    for one, two in zip(whole[1], tiled[1], strict=True):
        np.testing.assert_allclose(np.array(one), np.array(two), atol=2e-5)


def test_mlx_gets_its_own_attention_back_also_after_an_error() -> None:
    before = mx.fast.scaled_dot_product_attention
    with pytest.raises(ValueError, match="boom"), tiled_attention():
        raise ValueError("boom")
    assert mx.fast.scaled_dot_product_attention is before
