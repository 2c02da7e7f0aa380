"""Episodes of a packed row kept apart, while an unmodified model reads them as one sequence.

Positions restart and attention never crosses from one episode to another: `mx.fast.rope` is given a
position for each token, and attention is computed on the episodes as a batch, those of like length
together. What else mixes tokens (recurrent layers, positions by a table, a mask of the model's own)
would cross: `exactness.packing_refusal` finds such models, `Segments` refuses what it meets there.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import mlx.core as mx
import numpy as np

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.episodes.packing import alike
from yofo_mlx.errors import RunError
from yofo_mlx.gradients.attention import attention

# Tokens of several episodes that attend together, padding counted. Chosen: the scores of a tile of
# each are alive at once, and more of them are no faster.
ATTENDING = 1024

rope = mx.fast.rope


class Segments:
    """The episodes of a row, and what stands for MLX's positions and attention meanwhile."""

    def __init__(self, lengths: Sequence[int]) -> None:
        starts = np.cumsum(lengths) - lengths
        self.total = sum(lengths)
        self._positions = _array(np.concatenate([np.arange(length) for length in lengths]))
        self._groups: list[mx.array] = []  # (S, m) places in the row, of S episodes
        back = np.empty(self.total, dtype=np.int32)
        done = 0
        for group in alike(lengths, ATTENDING):
            longest = max(lengths[place] for place in group)
            # Behind a short one stands whatever comes next: only its own padding sees that.
            places = starts[group][:, None] + np.arange(longest)
            self._groups.append(_array(np.minimum(places, self.total - 1)))
            for index, place in enumerate(group):
                start, own = starts[place], np.arange(lengths[place])
                back[start : start + lengths[place]] = done + index * longest + own
            done += len(group) * longest
        self._back = _array(back)

    def rope(self, x: mx.array, dims: int, *args: Any, offset: Any = 0, **options: Any) -> mx.array:
        """Do what `mx.fast.rope` does, with positions that restart, (1, H, L, D)."""
        if x.ndim != 4 or x.shape[0] != 1 or x.shape[2] != self.total or not _is_zero(offset):
            raise _refusal("its positions are computed in another way")
        each = x.swapaxes(0, 2).reshape(self.total, -1, 1, x.shape[3])  # a sequence for each token
        turned = rope(each, dims, *args, offset=self._positions, **options)
        return turned.reshape(self.total, x.shape[1], 1, x.shape[3]).swapaxes(0, 2)

    def attention(
        self, q: mx.array, k: mx.array, v: mx.array, *, mask: Any = None, **options: Any
    ) -> mx.array:
        """Do what `attention` does for each episode, q (1, H, L, D) -> (1, H, L, D_v)."""
        if not isinstance(mask, str) or q.shape[2] != self.total or k.shape[2] != self.total:
            raise _refusal("its attention has a mask of its own, such as a window")
        results = []
        for places in self._groups:
            parts = [array[0][:, places].swapaxes(0, 1) for array in (q, k, v)]  # (S, H, m, D)
            result = attention(*parts, mask=mask, **options).swapaxes(1, 2)
            results.append(result.reshape(-1, *result.shape[2:]))
        return mx.concatenate(results)[self._back].swapaxes(0, 1)[None]


def kept_apart(batch: Batch) -> AbstractContextManager[None]:
    """Let models read each episode of a packed row as if it stood alone; others as ever."""
    return _standing(Segments(batch.lengths.tolist())) if batch.is_packed else nullcontext()


@contextmanager
def _standing(segments: Segments) -> Iterator[None]:
    before = mx.fast.scaled_dot_product_attention
    mx.fast.rope = segments.rope  # type: ignore[assignment]
    mx.fast.scaled_dot_product_attention = segments.attention
    try:
        yield
    finally:
        mx.fast.rope = rope
        mx.fast.scaled_dot_product_attention = before


def _array(values: Any) -> mx.array:
    return mx.array(np.asarray(values, dtype=np.int32))


def _is_zero(offset: Any) -> bool:
    return isinstance(offset, int) and offset == 0


def _refusal(why: str) -> RunError:
    return RunError(why, "set train.packed = false")
