"""What a model has read: token ids and the prompt cache that goes with them, able to go back."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import (
    CacheList,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
    make_prompt_cache,
)

from yofo_mlx.errors import Cancelled, FitError

CHUNK = 512  # tokens read at once: bounds memory and how long a cancel waits

OnChunk = Callable[[int], None]
"""Called between chunks with the number of tokens in the context; raises Cancelled to stop."""


def ignore(_: int) -> None:
    """Let a reading go on."""


@dataclass(frozen=True)
class Mark:
    """A place to go back to: copies of those layers that cannot simply be cut."""

    length: int
    copies: tuple[Any, ...]


class Context:
    """A prompt cache and the token ids in it."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.tokens: list[int] = []
        self.layers: list[Any] = make_prompt_cache(self.model)

    def adopt(self, layers: list[Any], tokens: list[int]) -> None:
        """Take over a cache that holds these tokens."""
        self.layers, self.tokens = layers, list(tokens)

    def read(
        self, tokens: Sequence[int], on_chunk: OnChunk = ignore, lead: Sequence[int] = ()
    ) -> None:
        """Append tokens chunk by chunk; stopped by Cancelled it keeps what was read so far.

        `lead` are the sizes of the first chunks, where they are to be smaller.
        """
        sizes = chain(lead, repeat(CHUNK))
        first, start = sum(lead) or CHUNK, 0
        while start < len(tokens):
            end = min(start + next(sizes), len(tokens))
            chunk = list(tokens[start:end])
            with self.whole_or_nothing():
                self.model(mx.array([chunk]), cache=self.layers)
                mx.eval([layer.state for layer in self.layers])
            self.tokens += chunk
            mx.clear_cache()
            if end == min(first, len(tokens)):
                self._check_memory(len(tokens) - end)
            start = end
            on_chunk(len(self.tokens))

    def log_probability(
        self, tokens: Sequence[int], targets: Sequence[int], on_chunk: OnChunk = ignore
    ) -> float:
        """Append tokens; return the sum of the log-probabilities of the target after each."""
        total = 0.0
        for start in range(0, len(tokens), CHUNK):
            chunk, wanted = tokens[start : start + CHUNK], targets[start : start + CHUNK]
            with self.whole_or_nothing():
                logprobs = self._logprobs(chunk)
                chosen = mx.take_along_axis(logprobs, mx.array(list(wanted))[:, None], axis=-1)
                total += sum(chosen[:, 0].tolist())  # type: ignore[arg-type]
            self.tokens += chunk
            on_chunk(len(self.tokens))
        return total

    def next_logprobs(self, token: int) -> mx.array:
        """Return the log-probabilities (V,) of what would follow a token; nothing is kept of it."""
        with self.aside(), self.whole_or_nothing():
            logprobs = self._logprobs([token])[0]
            mx.eval(logprobs)
        return logprobs

    def mark(self) -> Mark:
        """Return a place to go back to."""
        copies = (None if _is_plain(layer) else copy.deepcopy(layer) for layer in self.layers)
        return Mark(len(self.tokens), tuple(copies))

    def rewind(self, mark: Mark) -> None:
        """Go back to a mark: every token read before it stands as it was, bit for bit."""
        if len(self.tokens) < mark.length:
            return  # a failure has emptied the context
        for index, kept in enumerate(mark.copies):
            if kept is None:
                layer = self.layers[index]
                layer.trim(layer.offset - mark.length)
            else:
                self.layers[index] = copy.deepcopy(kept)
        del self.tokens[mark.length :]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Go back at the end of a block, however it ends."""
        mark = self.mark()
        try:
            yield
        finally:
            self.rewind(mark)

    def cut(self, length: int) -> bool:
        """Keep the first tokens only; False, and all is kept, where a layer has no way back."""
        surplus = len(self.tokens) - length
        if surplus > 0:
            if not self.can_be_cut:
                return False
            for layer in self.layers:
                layer.trim(surplus)
            del self.tokens[length:]
        return True

    @property
    def can_be_cut(self) -> bool:
        """Tell whether every layer has a way back now."""
        return all(_can_be_cut(layer) for layer in self.layers)

    def _check_memory(self, ahead: int) -> None:
        """Refuse to read on into an out-of-memory kill, which nothing could catch."""
        growing = sum(layer.nbytes for layer in self.layers if _is_plain(layer))
        needed, free = ahead * growing / len(self.tokens), memory_limit() - mx.get_active_memory()
        if needed > free:
            fitting = len(self.tokens) + int(ahead * max(0, free) / needed)
            raise FitError(
                f"keys and values of {len(self.tokens) + ahead} tokens need another"
                f" {needed / 1e9:.1f} GB, but {max(0, free) / 1e9:.1f} GB are free",
                f"about {fitting} tokens fit: use fewer demonstrations, or a quantised model",
            )

    def _logprobs(self, tokens: Sequence[int]) -> mx.array:
        logits: mx.array = self.model(mx.array([list(tokens)]), cache=self.layers)[0]
        logits = logits.astype(mx.float32)
        return logits - mx.logsumexp(logits, axis=-1, keepdims=True)  # (L, V)

    @contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """Empty the context if a pass fails half-way, since its layers no longer agree."""
        try:
            yield
        except (Cancelled, GeneratorExit):
            raise
        except BaseException:
            self.reset()
            raise


def memory_limit() -> int:
    """Return how many bytes MLX may use on this machine."""
    advised = mx.device_info().get("max_recommended_working_set_size")
    return min(mx.get_memory_limit(), int(advised)) if advised else mx.get_memory_limit()


def _is_plain(layer: Any) -> bool:
    """Tell whether a cache only ever appends, so that cutting restores it."""
    return type(layer) in (KVCache, QuantizedKVCache)


def _can_be_cut(layer: Any) -> bool:
    """Tell whether cutting is exact now: a rotating cache must not have dropped a token yet."""
    if type(layer) is CacheList:
        return all(_can_be_cut(part) for part in layer.caches)
    if type(layer) is RotatingKVCache:
        return bool(layer.offset < layer.max_size)
    return _is_plain(layer)
