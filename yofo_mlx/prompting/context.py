"""What a model has read: token ids and the prompt cache that goes with them, able to go back.

Chat and evaluation both read, answer and score here, so that they cannot differ.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache, make_prompt_cache

from yofo_mlx.errors import Cancelled, FitError
from yofo_mlx.models.logits import row_logits, tells_rows
from yofo_mlx.models.prompt_cache import between_layers, can_be_cut, clone, only_appends
from yofo_mlx.prompting.readings import Readings, Watch
from yofo_mlx.prompting.shared_prefix import folded_attention, lend, shares
from yofo_mlx.system.quantities import size

CHUNK = 512  # tokens read at once: bounds memory
PATIENCE = 0.1  # seconds of a pass after which `OnChunk` is asked between its layers as well
_FEW = 32  # tokens of a pass that is over soon

OnChunk = Callable[[int], None]
"""Called with the number of tokens in the context, between chunks and within slow ones.

It raises Cancelled to stop: what it was called with stays in the context.
"""


def ignore(_: int) -> None:
    """Let a reading go on; nobody wants to stop it."""


def interruptible(_: int) -> None:
    """Let a reading go on; Python, which is asked so within slow passes, hears ctrl-C there."""


@dataclass(frozen=True)
class Mark:
    """A place to go back to: copies of those layers that cannot simply be cut."""

    length: int
    copies: tuple[Any, ...]


class Context:
    """A prompt cache and the token ids in it."""

    def __init__(self, model: Any, memory_limit: int | None = None) -> None:
        """`memory_limit`: bytes beyond which reading is refused, None where it is known to fit."""
        self.model, self.memory_limit = model, memory_limit
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.tokens: list[int] = []
        self.readings: Readings = {}
        self.layers: list[Any] = make_prompt_cache(self.model)

    def adopt(self, layers: list[Any], tokens: list[int]) -> None:
        """Take over a cache that holds these tokens, of which nothing is noted."""
        self.layers, self.tokens, self.readings = layers, list(tokens), {}

    def read(
        self,
        tokens: Sequence[int],
        on_chunk: OnChunk = ignore,
        lead: Sequence[int] = (),
        watch: Watch | None = None,
    ) -> None:
        """Append tokens chunk by chunk; stopped by Cancelled it keeps what was read so far.

        `lead` are the sizes of the first chunks, where they are to be smaller. What `watch` asks
        for is kept in `readings`, if the model can tell.
        """
        watch = watch if watch and self.tells_rows else None  # found out only where it matters
        sizes = chain(lead, repeat(CHUNK))
        first, start = sum(lead) or CHUNK, 0
        while start < len(tokens):
            end = min(start + next(sizes), len(tokens))
            chunk = list(tokens[start:end])
            asking = self._asking(len(chunk), on_chunk)
            with self._stops_within(on_chunk), self.whole_or_nothing(), asking:
                noted = self._read_chunk(chunk, watch)
            self.tokens += chunk
            self.readings |= noted
            if end < len(tokens):
                mx.clear_cache()
            if end == min(first, len(tokens)):
                self._check_memory(len(tokens) - end)
            start = end
            on_chunk(len(self.tokens))

    @contextmanager
    def _stops_within(self, on_chunk: OnChunk) -> Iterator[None]:
        """Go back to where a pass began that is given up."""
        mark = None if on_chunk is ignore else self.mark()
        try:
            yield
        except Cancelled:
            if mark is not None:
                self.rewind(mark)
            raise

    def _asking(self, count: int, on_chunk: OnChunk) -> AbstractContextManager[None]:
        """Ask, within a pass of so many tokens that takes long, whether it is still wanted."""
        if on_chunk is ignore or count < _FEW:
            return nullcontext()
        asked = time.perf_counter()

        def ask() -> None:
            nonlocal asked
            if time.perf_counter() - asked > PATIENCE:
                on_chunk(len(self.tokens))
                asked = time.perf_counter()

        return between_layers(self.layers, ask)

    def _read_chunk(self, chunk: list[int], watch: Watch | None) -> Readings:
        """Pass a chunk through the model; only rows that are watched are given logits."""
        start, tokens = len(self.tokens), mx.array([chunk])
        places = watch.places(start, start + len(chunk)) if watch else []
        settled = watch.settled(start, start + len(chunk)) if watch else {}
        if watch is None or not places:
            self.model(tokens, cache=self.layers)  # MLX is lazy: without logits
            mx.eval([layer.state for layer in self.layers])
            return settled
        rows = mx.array([place - 1 - start for place in places])
        noted = watch.note(places, row_logits(self.model, tokens, rows, self.layers))
        mx.eval([layer.state for layer in self.layers])
        return noted | settled

    @cached_property
    def tells_rows(self) -> bool:
        """Tell whether the model projects chosen rows alone."""
        return tells_rows(self.model)

    def logits(self, tokens: mx.array, rows: mx.array, on_chunk: OnChunk = ignore) -> mx.array:
        """Append tokens (B, L) in one piece; return float32 logits (N, V) of rows (N,) of B * L.

        For use aside: the token ids are not kept.
        """
        # Where all but the ends are wanted no layer is wrapped: that works with every model.
        few = rows.size + len(tokens) < tokens.size
        asking = self._asking(tokens.size, on_chunk)
        with self.whole_or_nothing(), folded_attention(), asking:
            logits = row_logits(self.model, tokens, rows if few else None, self.layers)
            mx.eval(logits, [layer.state for layer in self.layers])
        return logits if few else logits[rows]

    def next_logprobs(self, token: int) -> mx.array:
        """Return the log-probabilities (V,) of what would follow a token; nothing is kept of it."""
        with self.aside():
            logits = self.logits(mx.array([[token]]), mx.array([0]))[0]
        return logits - mx.logsumexp(logits)

    def mark(self) -> Mark:
        """Return a place to go back to."""
        copies = (None if only_appends(layer) else clone(layer) for layer in self.layers)
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
                self.layers[index] = clone(kept)
        del self.tokens[mark.length :]

    @contextmanager
    def aside(self, copies: int = 1, *, shared: bool = True) -> Iterator["Context"]:
        """Lend what `copies` queries start from; this context is afterwards as it was.

        For one query that is this context itself, which goes back at the end of the block. Several
        share the prefix where the model allows it, and are copies elsewhere, or if not `shared`.
        """
        if copies > 1:
            yield self.behind(lend(self.layers, copies, shared=shared and self._can_share()))
            return
        mark = self.mark()
        try:
            yield self
        finally:
            self.rewind(mark)

    def can_pool(self, on_chunk: OnChunk = ignore) -> bool:
        """Tell whether rows behind this may have what they read in a pool."""
        return self.is_plain and bool(self.tokens) and self._can_share(on_chunk)

    @property
    def is_plain(self) -> bool:
        """Tell whether all that is held are keys and values of all tokens."""
        return all(type(layer) is KVCache for layer in self.layers)

    def behind(self, layers: list[Any]) -> "Context":
        """Return rows that have these layers and read on from here; this context stays as it is."""
        rows = Context(self.model)
        rows.adopt(layers, self.tokens)
        return rows

    def _can_share(self, on_chunk: OnChunk = ignore) -> bool:
        check = (lambda: on_chunk(len(self.tokens))) if on_chunk is not ignore else None
        return shares(self.model, check)

    def cut(self, length: int) -> bool:
        """Keep the first tokens only; False, and all is kept, where a layer has no way back."""
        surplus = len(self.tokens) - length
        if surplus > 0:
            if not self.can_be_cut:
                return False
            for layer in self.layers:
                layer.trim(surplus)
            del self.tokens[length:]
            self.readings = {at: one for at, one in self.readings.items() if at < length}
        return True

    @property
    def can_be_cut(self) -> bool:
        """Tell whether every layer has a way back now."""
        return all(map(can_be_cut, self.layers))

    @property
    def nbytes(self) -> int:
        """Return the memory that the cache holds."""
        return sum(layer.nbytes for layer in self.layers)

    def _check_memory(self, ahead: int) -> None:
        """Refuse to read on into an out-of-memory kill, which nothing could catch."""
        if self.memory_limit is None:
            return
        growing = sum(layer.nbytes for layer in self.layers if only_appends(layer))
        needed = ahead * growing / len(self.tokens)
        free = self.memory_limit - mx.get_active_memory()
        if needed > free:
            fitting = len(self.tokens) + int(ahead * max(0, free) / needed)
            raise FitError(
                f"keys and values of {len(self.tokens) + ahead} tokens need another"
                f" {size(needed)}, but {size(max(0, free))} are free",
                f"about {fitting} tokens fit: use fewer demonstrations, or a quantised model",
            )

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
