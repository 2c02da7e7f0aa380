"""The last layer of a model, when only some rows of what it returns are wanted.

Its keys and values are those of all tokens. Queries, attention and the feed-forward part are taken
of the wanted rows; of the others stands 0 in their place, which nobody looks at.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from yofo_mlx.models.layers import StandIn

_PARTS = ("mlp", "self_attn.q_proj", "self_attn.o_proj")


class _Part(StandIn):
    """The part of a layer that takes each row (..., D) for itself."""

    def __init__(self, part: Any, rows: mx.array, length: int) -> None:
        super().__init__(part)
        self._rows, self._length = rows, length

    def __call__(self, x: mx.array, *more: Any, **options: Any) -> Any:
        if more or options or x.shape[:-1] != (1, self._length):
            return self._layer(x, *more, **options)
        return _among(self._layer(x[:, self._rows]), self._rows, self._length)


@contextmanager
def spared(layer: Any, rows: mx.array, length: int) -> Iterator[None]:
    """Let a layer that is called with one text of L tokens work for the given rows (N,) alone."""
    usual = mx.fast.scaled_dot_product_attention
    mx.fast.scaled_dot_product_attention = _attention(usual, rows, length)
    parts = [*_parts(layer)]
    for owner, name, part in parts:
        setattr(owner, name, _Part(part, rows, length))
    try:
        yield
    finally:
        mx.fast.scaled_dot_product_attention = usual
        for owner, name, part in parts:
            setattr(owner, name, part)


def _parts(layer: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield what a layer has of `_PARTS`, with whose attribute it is."""
    for path in _PARTS:
        inside, _, name = path.rpartition(".")
        owner = getattr(layer, inside, None) if inside else layer
        if (part := getattr(owner, name, None)) is not None:
            yield owner, name, part


def _attention(
    usual: Callable[..., mx.array], rows: mx.array, length: int
) -> Callable[..., mx.array]:
    def attend(q: mx.array, k: Any, v: Any, *, mask: Any = None, **options: Any) -> mx.array:
        if q.shape[2] != length:
            return usual(q, k, v, mask=mask, **options)
        if isinstance(mask, str):  # causal: the last row sees all keys
            mask = mx.arange(k.shape[2]) <= (rows + k.shape[2] - length)[:, None]
        elif mask is not None and mask.shape[-2] > 1:
            mask = mask[..., rows, :]
        found = usual(q[:, :, rows], k, v, mask=mask, **options)
        return _among(found.swapaxes(1, 2), rows, length).swapaxes(1, 2)

    return attend


def _among(some: mx.array, rows: mx.array, length: int) -> mx.array:
    """Return (1, L, ...) of which `some` (1, N, ...) are the given rows (N,)."""
    whole = mx.zeros((1, length, *some.shape[2:]), some.dtype)
    whole[:, rows] = some
    return whole
