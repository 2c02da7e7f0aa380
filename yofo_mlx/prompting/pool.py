"""Tokens that rows have of their own behind one shared prefix, kept one by one in slots.

What a row has read is a path of slots, so that any row may go on from any other's beginning
without reading it again, and from what is kept once: PagedAttention (arXiv 2309.06180) with pages
of one token.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from yofo_mlx.prompting.shared_prefix import SharedPrefix

Path = tuple[int, ...]
"""The slots of what a row has read, in their order."""

_LEAST = 256  # slots at first


class Pool:
    """The keys and values of all layers, by slot."""

    def __init__(self, layers: Sequence[Any]) -> None:
        """`layers` are plain caches that hold the prefix; they are not copied."""
        self._shared = [layer.keys_and_values() for layer in layers]
        self._held: list[list[mx.array]] = []  # keys and values of each layer (H_kv, N, D)
        self._size = 0
        self._free: list[int] = []

    @property
    def count(self) -> int:
        """Return how many slots are taken."""
        return self._size - len(self._free)

    @property
    def nbytes(self) -> int:
        """Return the memory of those that are taken."""
        whole = sum(one.nbytes for held in self._held for one in held)
        return whole * self.count // max(1, self._size)

    def rows(self, paths: Sequence[Path]) -> list[SharedPrefix]:
        """Return caches of rows that have read these."""
        width = max(map(len, paths))
        if not width:
            return [SharedPrefix(*shared) for shared in self._shared]
        padding = np.array([width - len(path) for path in paths])  # they end at the right
        table = np.zeros((len(paths), width), dtype=np.int32)
        for row, path in enumerate(paths):
            table[row, padding[row] :] = path
        slots, begins = mx.array(table), mx.array(padding) if padding.any() else None
        return [
            SharedPrefix(keys, values, tuple(one[:, slots].swapaxes(0, 1) for one in held), begins)
            for (keys, values), held in zip(self._shared, self._held, strict=True)
        ]

    def keep(
        self, rows: Sequence[SharedPrefix], paths: Sequence[Path], counts: Sequence[int]
    ) -> list[Path]:
        """Keep so many of the tokens that each row has read; return its path with them."""
        before = max(map(len, paths))
        total = sum(counts)
        if not total:
            return [*paths]
        self._grow(total, rows)
        taken = [self._free.pop() for _ in range(total)]
        slots, new = mx.array(taken), iter(taken)
        row = mx.array(np.repeat(np.arange(len(counts)), counts))
        column = mx.array(np.concatenate([np.arange(count) for count in counts]) + before)
        for held, layer in zip(self._held, rows, strict=True):
            for index, own in enumerate(layer.own):
                held[index][:, slots] = own.swapaxes(0, 1)[:, row, column]
        mx.eval(self._held)
        return [
            path + tuple(next(new) for _ in range(count))
            for path, count in zip(paths, counts, strict=True)
        ]

    def free(self, slots: Iterable[int]) -> None:
        """Let slots be used for something else."""
        self._free += slots

    def _grow(self, count: int, rows: Sequence[SharedPrefix]) -> None:
        """See to it that so many slots are free."""
        missing = count - len(self._free)
        if missing <= 0:
            return
        more = max(missing, self._size, _LEAST)
        if not self._held:
            self._held = [[one[0, :, :0] for one in layer.own] for layer in rows]
        for held in self._held:
            for index, one in enumerate(held):
                spare = mx.zeros((one.shape[0], more, one.shape[2]), one.dtype)
                held[index] = mx.concatenate([one, spare], axis=1)
        self._free += range(self._size, self._size + more)
        self._size += more
