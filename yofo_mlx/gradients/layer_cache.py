"""What a layer hands from chunk to chunk: keys and values, or a recurrent state.

The objects here take the place of mlx-lm's caches. On the way forward they catch what a chunk adds.
On the way back, from the last chunk to the first, they hand a chunk the same arrays again, and
collect the gradients that it sends to earlier chunks until it is those chunks' turn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models import cache as mlx_lm_caches
from mlx_lm.models.base import create_causal_mask

from yofo_mlx.errors import RunError
from yofo_mlx.gradients.tiles import KEY_TILE, Earlier, Span, spans


class KeyValues:
    """Keys and values of one layer over whole episodes, and the gradients that wait for them.

    Buffers (B, H_kv, L, D) exist between `open` and `close` only. Gradients are kept in float32,
    by span of at most KEY_TILE tokens, and are gone once a chunk has fetched its own.

    With a window a token sees the `window` tokens before it, with a block those in its own block.
    `lent` ones are read by later layers too: they stay open from the owner's way forward to its way
    back, and what those layers send waits for it.
    """

    def __init__(self, window: int | None = None, block: int | None = None) -> None:
        self.offset = 0
        self.window = window
        self.block = block
        self.lent = False
        self.is_trained = True  # of lent ones: whether the owner's keys need a gradient
        self._spans: list[Span] = []
        self._filled = False
        self._buffers: list[mx.array] = []
        self._gradients: list[dict[Span, mx.array]] = [{}, {}]
        self._ends: dict[int, int] = {}  # of chunks, by their start
        self._seen: tuple[Any, Any] = (None, None)
        self._new: tuple[Any, Any] = (None, None)
        self._mask: tuple[Any, Any] = (None, None)  # the last one: what it was made for, itself
        self._borrowed = False

    def open(self, chunks: Sequence[Span]) -> None:
        """Get ready for the forward pass over these chunks; a full one that is lent stays full."""
        if self.lent and self._filled:
            return
        self.close()
        self._ends = dict(chunks)
        self._spans = [span for chunk in chunks for span in spans(*chunk, KEY_TILE)]

    def turn(self) -> None:
        """Get ready for the way back: the buffers are full."""
        self._filled = True

    def close(self) -> None:
        """Free everything."""
        self._filled = False
        self._buffers, self._gradients = [], [{}, {}]
        self.settle()

    @property
    def is_open(self) -> bool:
        """Tell whether the buffers are there."""
        return bool(self._buffers)

    @property
    def arrays(self) -> list[mx.array]:
        """What a chunk has changed and must be evaluated with it."""
        waiting = [array for by_span in self._gradients for array in by_span.values()]
        return [*([] if self._filled else self._buffers), *waiting]

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Take a chunk's keys and values, return all that it may see."""
        start, end = self.offset, self.offset + keys.shape[2]
        if not self._buffers:
            length = self._spans[-1][1]
            self._buffers = [
                mx.zeros((*new.shape[:2], length, new.shape[3]), new.dtype)
                for new in (keys, values)
            ]
        if not self._filled:
            self._buffers[0][:, :, start:end] = keys
            self._buffers[1][:, :, start:end] = values
        self._new, self._borrowed = (keys, values), False
        fetched = [
            self._fetch(which, new, end, self.received) for which, new in enumerate(self._new)
        ]
        self._seen = (fetched[0], fetched[1])
        return self._seen

    def lend(self, traced: mx.array) -> None:
        """Let another layer's call have the keys and values of the chunk at `offset`.

        `traced` is an argument of what is differentiated: a captured array would get no gradient.
        """
        start, end = self.offset, self._ends[self.offset]
        self._new = (self._buffers[0][:, :, start:end], self._buffers[1][:, :, start:end])
        self._borrowed = True

        def send_all(which: int, chunk: Span, own: mx.array) -> mx.array:
            self._send_own(which, chunk, own)
            return mx.zeros_like(traced)

        fetched = [self._fetch(which, traced, end, send_all) for which in (0, 1)]
        self._seen = (fetched[0], fetched[1])

    def keys_and_values(self) -> tuple[Any, Any]:
        """Return what a running layer may see; outside of one, what stands for it."""
        return self._seen if self._seen[0] is not None else (Lent(self, 0), Lent(self, 1))

    def last_seen(self, which: int) -> Any:
        """Return the keys (0) or values (1) that were fetched or lent last."""
        return self._seen[which]

    @property
    def keys(self) -> Any:
        """What models touch to have a cache evaluated; here that happens elsewhere."""
        return self._new[0]

    @keys.setter
    def keys(self, value: Any) -> None:
        pass

    @property
    def values(self) -> Any:
        """The same."""
        return self._new[1]

    @values.setter
    def values(self, value: Any) -> None:
        pass

    @property
    def start_position(self) -> int:
        """The first token that a chunk may see."""
        return self._first_seen(self.offset)

    def maybe_trim_front(self) -> None:
        """Do nothing: what is seen follows from the offset."""

    def _fetch(self, which: int, new: mx.array, end: int, own: "Own") -> mx.array:
        """Return everything seen as a function of the new part, which is in the buffer already."""
        buffer, first, start = self._buffers[which], self._first_seen(self.offset), self.offset
        if not self._filled:
            return buffer[:, :, first:end]

        # The buffer is captured on purpose: as an argument it would get a gradient of the whole
        # length from each chunk. What belongs to earlier chunks is sent there by span instead.
        @mx.custom_function
        def join(new: mx.array) -> mx.array:
            return buffer[:, :, first:end]

        @join.vjp
        def join_vjp(primals: Any, cotangent: mx.array, output: Any) -> mx.array:
            for span in self._spans:
                if first < span[1] <= start:
                    part = cotangent[:, :, max(span[0] - first, 0) : span[1] - first]
                    hidden = max(first - span[0], 0)
                    padding = [(0, 0), (0, 0), (hidden, 0), (0, 0)]
                    self.send(which, span, mx.pad(part, padding) if hidden else part)
            return own(which, (start, end), cotangent[:, :, start - first :])

        joined: Any = join(new)
        return joined  # type: ignore[no-any-return]

    def apart(self, keys: mx.array, values: mx.array) -> Earlier | None:
        """Return the earlier part by itself if these are what was last fetched, and all of it."""
        if keys is not self._seen[0] or values is not self._seen[1]:
            return None
        if self.window or self.block:
            return None
        before = [span for span in self._spans if span[1] <= self.offset]
        own = self._send_own if self._borrowed else self.received
        return Earlier(*self._new, before, self._buffers, self.send, own)

    def settle(self) -> None:
        """Forget what was fetched last; a view of a buffer would have it copied when it changes."""
        self._seen = self._new = (None, None)

    def send(self, which: int, span: Span, gradient: mx.array) -> mx.array:
        """Add a gradient of an earlier span; return the sum that waits there."""
        if not self.is_trained:
            return gradient
        waiting = self._gradients[which]
        gradient = gradient.astype(mx.float32)  # many chunks add up here: bfloat16 has 8 bits
        waiting[span] = waiting[span] + gradient if span in waiting else gradient
        return waiting[span]

    def received(self, which: int, chunk: Span, own: mx.array) -> mx.array:
        """Return a chunk's own gradient with what later chunks have sent; that is then gone."""
        waiting = self._gradients[which]
        own_spans = [span for span in self._spans if chunk[0] <= span[0] < chunk[1]]
        if not any(span in waiting for span in own_spans):  # no later chunk
            return own
        zeros = (mx.zeros((*own.shape[:2], end - start, own.shape[3])) for start, end in own_spans)
        sent = [
            waiting.pop(span, nothing) for span, nothing in zip(own_spans, zeros, strict=True)
        ]  # a window may reach the last spans only
        return (own + mx.concatenate(sent, axis=2)).astype(own.dtype)

    def _send_own(self, which: int, chunk: Span, own: mx.array) -> mx.array:
        """Send the gradient of a borrowed chunk's own keys or values to their owner."""
        for start, end in self._spans:
            if chunk[0] <= start < chunk[1]:
                self.send(which, (start, end), own[:, :, start - chunk[0] : end - chunk[0]])
        return own

    def make_mask(
        self, count: int, return_array: bool = False, window_size: int | None = None
    ) -> Any:
        """Return the mask of a chunk of `count` tokens over what it may see."""
        earlier = self.offset - self._first_seen(self.offset)
        asked = (count, earlier, return_array, window_size)
        if self._mask[0] != asked:  # past a window's length all chunks have the same
            self._mask = (asked, self._make_mask(*asked))
        return self._mask[1]

    @staticmethod
    def _make_mask(count: int, earlier: int, return_array: bool, window_size: int | None) -> Any:
        # "causal" where it will do: it is aligned to the last key, and no array of masks is built.
        if window_size and earlier + count > window_size:
            return create_causal_mask(count, earlier, window_size=window_size)
        if count == 1:
            return None
        return create_causal_mask(count, earlier) if return_array else "causal"

    def _first_seen(self, start: int) -> int:
        if self.block:
            return start // self.block * self.block
        return max(0, start - self.window) if self.window else 0


Own = Callable[[int, Span, mx.array], mx.array]  # what becomes of the gradient of a chunk's own


@dataclass(frozen=True)
class Lent:
    """Stands for the keys (0) or values (1) of a cache in another layer's arguments."""

    cache: KeyValues
    which: int


class Latents(KeyValues):
    """Keys and values as latent attention has them: one latent and one position vector a token.

    Models expand them to the keys and values of every head, for all tokens seen, and add the scores
    of positions as an array of queries by keys. All of that is linear in what the cache returns. So
    this one returns the unit vectors: what the model makes of them are the matrices themselves, and
    by them queries come to the latents instead, which nothing expands (DeepSeek-V2, arXiv
    2405.04434, 2.1.2).
    """

    pending = False

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Take latents (B, 1, C, K) and positions (B, 1, C, R), return unit vectors for each."""
        super().update_and_fetch(mx.concatenate([keys, values], axis=-1), keys)
        self.pending = True
        latent, position = (
            mx.eye(new.shape[-1], dtype=new.dtype)[None, None] for new in (keys, values)
        )
        return latent, position

    def make_mask(
        self, count: int, return_array: bool = False, window_size: int | None = None
    ) -> mx.array:
        """Return a mask that hides nothing, of any size: `attention` knows that it is causal."""
        assert not window_size
        return mx.ones((1, 1), dtype=mx.bool_)


class Recurrent(mlx_lm_caches.ArraysCache):
    """The state of a recurrent layer (convolution, state space, linear attention)."""

    lengths = None  # padding is on the right, where no earlier token sees it
    left_padding = None

    def __init__(self, size: int) -> None:
        self.offset = 0
        self.cache: list[Any] = [None] * size

    @property
    def arrays(self) -> list[mx.array]:
        """What a chunk has changed and must be evaluated with it."""
        return [array for array in self.state if array is not None]

    @property
    def state(self) -> list[Any]:
        """The arrays that a chunk hands to the next one; None where there is none yet."""
        return self.cache

    @state.setter
    def state(self, value: list[Any]) -> None:
        self.cache = value

    def open(self, chunks: Sequence[Span]) -> None:
        """Forget the state."""
        self.state = [None] * len(self.state)

    def __getitem__(self, index: int) -> Any:
        return self.state[index]

    def __setitem__(self, index: int, value: mx.array) -> None:
        self.state[index] = value

    def advance(self, count: int) -> None:
        """Do nothing: offsets are set from outside."""

    def make_mask(self, count: int) -> None:
        """Return no mask: nothing is padded on the left."""


Part = KeyValues | Recurrent


class Several:
    """The caches of a layer that has more than one."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)

    def __getitem__(self, index: int) -> Part:
        return self.parts[index]

    @property
    def offset(self) -> int:
        """Where the chunk begins."""
        return self.parts[0].offset

    @offset.setter
    def offset(self, value: int) -> None:
        for part in self.parts:
            part.offset = value


def parts_of(cache: Part | Several) -> list[Part]:
    """Return the caches that one consists of."""
    return cache.parts if isinstance(cache, Several) else [cache]


def caches_for(model: Any) -> list[Part | Several]:
    """Return stand-ins for the caches that a model asks for; refuse those not understood."""
    return [
        Several([_stand_in(part, model) for part in cache.caches])
        if type(cache) is mlx_lm_caches.CacheList
        else _stand_in(cache, model)
        for cache in mlx_lm_caches.make_prompt_cache(model)
    ]


def _stand_in(cache: Any, model: Any) -> Part:
    kind = type(cache)
    if kind is mlx_lm_caches.KVCache:
        return KeyValues()
    if kind is mlx_lm_caches.RotatingKVCache and not cache.keep:
        return KeyValues(window=cache.max_size)
    if kind is mlx_lm_caches.ChunkedKVCache:
        return KeyValues(block=cache.chunk_size)
    if kind is mlx_lm_caches.ArraysCache:
        return Recurrent(len(cache.cache))
    raise RunError(
        f"{model.model_type} cannot be trained in chunks: its {kind.__name__} is not understood",
        'train it on shorter episodes with memory.method = "plain"',
    )
