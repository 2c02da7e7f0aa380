"""Causal attention by tiles of queries, where MLX has no fused kernel of its own (CPU).

There, MLX computes and differentiates the whole L x L score array, upper half included. A tile of
queries needs the keys up to its end only: exact, since a causal mask is aligned to the lower right.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

QUERY_TILE = 64

_native = mx.fast.scaled_dot_product_attention


def attention(
    q: mx.array,
    k: mx.array,
    v: mx.array,
    *,
    scale: float,
    mask: Any = None,
    sinks: mx.array | None = None,
    **options: Any,
) -> mx.array:
    """Do what `mx.fast.scaled_dot_product_attention` does, causal attention by tiles.

    q (B, H, Lq, D), k and v (B, H_kv, Lk, D) -> (B, H, Lq, D_v); the last query sees the last key.
    """

    def native(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return _native(q, k, v, scale=scale, mask=mask, sinks=sinks, **options)

    queries, keys = q.shape[2], k.shape[2]
    if not (isinstance(mask, str) and mask == "causal") or queries <= QUERY_TILE:
        return native(q, k, v)
    tiles = []
    for start in range(0, queries, QUERY_TILE):
        end = min(start + QUERY_TILE, queries)
        seen = slice(0, keys - queries + end)
        tiles.append(native(q[:, :, start:end], k[:, :, seen], v[:, :, seen]))
    return mx.concatenate(tiles, axis=2)


@contextmanager
def tiled_attention() -> Iterator[None]:
    """Let models use the tiled attention on CPU; mlx-lm asks MLX by name at every call."""
    if mx.default_device() != mx.Device(mx.cpu):
        yield
        return
    mx.fast.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        mx.fast.scaled_dot_product_attention = _native
