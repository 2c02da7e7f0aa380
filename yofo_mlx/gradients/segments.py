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
        self.total = sum(lengths)
        self._positions = _array(np.concatenate([np.arange(length) for length in lengths]))
        starts = np.cumsum(lengths) - lengths
        self._shapes: list[tuple[int, int]] = []  # (S, m): so many episodes, padded to so many
        places, is_token = [], []
        for group in alike(lengths, ATTENDING):
            own = np.array([lengths[place] for place in group])[:, None]
            steps = np.arange(own.max())
            self._shapes.append((len(group), len(steps)))
            # Behind a short one stands what comes next: only padding sees that.
            places.append(np.minimum(starts[group][:, None] + steps, self.total - 1).ravel())
            is_token.append((steps < own).ravel())
        self._places = np.concatenate(places)  # of a row's tokens, in all groups: (P,)
        self._is_token = np.concatenate(is_token)
        back = np.empty(self.total, dtype=np.int32)
        back[self._places[self._is_token]] = np.flatnonzero(self._is_token)
        self._back = back

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
        spread, gather = self._ways()
        ends = np.cumsum([count * length for count, length in self._shapes])[:-1].tolist()
        parts = [mx.split(spread(array[0].swapaxes(0, 1)), ends) for array in (q, k, v)]
        results = []
        for shape, *group in zip(self._shapes, *parts, strict=True):
            batch = [array.reshape(*shape, *array.shape[1:]).swapaxes(1, 2) for array in group]
            result = attention(*batch, mask=mask, **options).swapaxes(1, 2)
            results.append(result.reshape(-1, *result.shape[2:]))
        together: mx.array = gather(mx.concatenate(results))
        return together.swapaxes(0, 1)[None]

    def _ways(self) -> tuple[Any, Any]:
        """Return what lays a row's tokens out in groups, (L, H, D) -> (P, H, D), and its reverse.

        Each is the other's gradient, so that neither way has to add up by index, which is slow.
        """
        places, back = _array(self._places), _array(self._back)
        is_token = mx.array(self._is_token)[:, None, None]

        @mx.custom_function
        def spread(array: mx.array) -> mx.array:
            return array[places]

        @spread.vjp
        def spread_vjp(primals: Any, cotangent: mx.array, output: Any) -> mx.array:
            return cotangent[back]  # padding has none: nothing of it is used

        @mx.custom_function
        def gather(array: mx.array) -> mx.array:
            return array[back]

        @gather.vjp
        def gather_vjp(primals: Any, cotangent: mx.array, output: Any) -> mx.array:
            return mx.where(is_token, cotangent[places], mx.zeros((), cotangent.dtype))

        return spread, gather


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
