"""Copies of mlx-lm prompt caches, so that many queries start from the same demonstrations."""

from typing import Any

import mlx.core as mx
from mlx.utils import tree_map


def clone(cache: list[Any], copies: int = 1) -> list[Any]:
    """Return a cache of `copies` equal batch rows; the original is left as it is."""

    def repeat(leaf: Any) -> Any:
        if not isinstance(leaf, mx.array):
            return leaf
        # A new array even for one copy: mlx-lm's caches write into theirs in place.
        return mx.repeat(leaf, copies, axis=0) if copies > 1 else leaf[...]

    return [type(layer).from_state(tree_map(repeat, layer.state)) for layer in cache]


def size_in_bytes(cache: list[Any]) -> int:
    """Return the memory that a cache's arrays hold."""
    return sum(layer.nbytes for layer in cache)
