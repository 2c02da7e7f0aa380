"""Copies of mlx-lm prompt caches, so that many queries start from the same demonstrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models.cache import KVCache


def clone(cache: list[Any], copies: int = 1) -> list[Any]:
    """Return a cache of `copies` equal batch rows; the original is left as it is."""

    def repeat(leaf: Any) -> Any:
        if not isinstance(leaf, mx.array):
            return leaf
        # A new array even for one copy: mlx-lm's caches write into theirs in place.
        return mx.repeat(leaf, copies, axis=0) if copies > 1 else leaf[...]

    return [type(layer).from_state(tree_map(repeat, layer.state)) for layer in cache]


@contextmanager
def starting_from(cache: list[Any], copies: int = 1) -> Iterator[list[Any]]:
    """Lend what `copies` queries start from; the original is afterwards as it was.

    For one query that is the original itself, where what was written can be taken back exactly.
    """
    if copies > 1 or not all(type(layer) is KVCache for layer in cache):
        yield clone(cache, copies)
        return
    lengths = [layer.offset for layer in cache]
    try:
        yield cache
    finally:
        for layer, length in zip(cache, lengths, strict=True):
            layer.trim(layer.offset - length)


def size_in_bytes(cache: list[Any]) -> int:
    """Return the memory that a cache's arrays hold."""
    return sum(layer.nbytes for layer in cache)
