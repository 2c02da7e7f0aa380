"""Demonstrations encoded once, in blocks; each query reads the most similar ones (2503.08640).

A block is read behind those that it sees: the anchor, which is block 0, and the two before it. Kept
are values, and keys as they are before rotary positions. So any selection of blocks can stand in a
context at positions 0 to m - 1, without gaps. So does what a block sees while it is encoded: that
makes encoding linear in the demonstrations, of which there may be more than the context holds.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import FitError
from yofo_mlx.models.rotary import attentions, raw_keys
from yofo_mlx.prompting.context import Context, OnChunk, ignore
from yofo_mlx.prompting.selection import least_room
from yofo_mlx.tasks.task import Example

SIZE = 50  # demonstrations in a block, as in the paper
SHARE = 0.3  # of the blocks, the anchor among them
_KEPT = 2  # assembled contexts

Selection = tuple[int, ...]
"""Places of blocks in their order, the anchor first."""

Piece = tuple[tuple[Example, ...], list[int]]
"""The demonstrations of a block, and their tokens."""


def sparse(block: int) -> Selection:
    """Return the blocks that a block sees beside itself: the anchor and the two before it."""
    return tuple(sorted({0, block - 2, block - 1} & set(range(block))))


@dataclass(frozen=True)
class Block:
    """Some demonstrations and what each layer made of them, keys without positions."""

    examples: tuple[Example, ...]
    tokens: list[int]
    keys: list[mx.array]  # of each layer (1, H_kv, L, D)
    values: list[mx.array]

    @property
    def text(self) -> str:
        """Return what a query is compared with."""
        return "\n".join(f"{one.input}\n{one.output}" for one in self.examples)

    @property
    def nbytes(self) -> int:
        """Return the memory of its keys and values."""
        return sum(array.nbytes for array in (*self.keys, *self.values))


class Blocks:
    """The demonstrations of one session in blocks, and the contexts assembled from them."""

    def __init__(
        self,
        model: Any,
        segmenter: Segmenter,
        *,
        size: int = SIZE,
        limit: int | None = None,
        memory_limit: int | None = None,
        sees: Callable[[int], Selection] = sparse,
    ) -> None:
        """`limit` is the model's context length in tokens, `memory_limit` in bytes."""
        self._attentions = attentions(model)
        self.model, self.segmenter, self.size, self.limit = model, segmenter, size, limit
        self.memory_limit, self._sees = memory_limit, sees
        self.blocks: list[Block] = []
        self._contexts: dict[Selection, Context] = {}

    @property
    def tokens(self) -> int:
        """Return how many tokens all blocks have."""
        return sum(len(block.tokens) for block in self.blocks)

    @property
    def nbytes(self) -> int:
        """Return the memory of all blocks and of the contexts made from them."""
        contexts = sum(context.nbytes for context in self._contexts.values())
        return sum(block.nbytes for block in self.blocks) + contexts

    def fill(self, examples: Sequence[Example], on_chunk: OnChunk = ignore) -> int:
        """Hold these demonstrations; return how many tokens had to be read.

        Blocks that the examples begin with stay as they are, what comes behind them becomes new
        ones. Stopped by Cancelled, those that are whole are kept.
        """
        kept = self._kept(examples)
        if kept < len(self.blocks):
            del self.blocks[kept:]
            self._contexts.clear()
        start = sum(len(block.examples) for block in self.blocks)
        pieces = list(self._pieces(examples[start:]))
        ahead = total = sum(len(tokens) for _, tokens in pieces)
        for some, tokens in pieces:
            self.blocks.append(self._encode(some, tokens, partial(_later, on_chunk, total - ahead)))
            ahead -= len(tokens)
            self._check_memory(ahead)
        return total

    def context(self, selection: Selection) -> Context:
        """Return a context that has read these blocks; it is kept for the next query with them."""
        if selection not in self._contexts:
            while len(self._contexts) >= _KEPT:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[selection] = self._assembled(selection)
        context = self._contexts[selection] = self._contexts.pop(selection)  # now the latest
        return context

    def select(self, scores: Sequence[float], share: float = SHARE) -> Selection:
        """Return the anchor and the best blocks by their scores: a share of all, and what fits."""
        count = max(min(2, len(self.blocks)), int(share * len(self.blocks) + 1e-9))
        chosen, tokens = [0], len(self.blocks[0].tokens)
        for place in sorted(range(1, len(self.blocks)), key=lambda one: -scores[one]):
            size = len(self.blocks[place].tokens)
            fits = self.limit is None or tokens + size <= self.limit - least_room(self.limit)
            if len(chosen) < count and fits:
                chosen.append(place)
                tokens += size
        return tuple(sorted(chosen))

    def _kept(self, examples: Sequence[Example]) -> int:
        """Return how many blocks hold just what the examples begin with."""
        ends = accumulate(len(block.examples) for block in self.blocks)
        same = (
            tuple(examples[end - len(block.examples) : end]) == block.examples
            for block, end in zip(self.blocks, ends, strict=True)
        )
        return next((place for place, is_same in enumerate(same) if not is_same), len(self.blocks))

    def _pieces(self, examples: Sequence[Example]) -> Iterator[Piece]:
        """Yield the examples of each new block with their tokens."""
        is_first = not self.blocks
        for start in range(0, len(examples), self.size):
            some = tuple(examples[start : start + self.size])
            tokens = list(self.segmenter.opening) if is_first else []
            for example in some:
                demonstration = tokenize(self.segmenter, example)
                tokens += demonstration.first if is_first else demonstration.later
                tokens += demonstration.answer
                is_first = False
            yield some, tokens

    def _encode(self, examples: tuple[Example, ...], tokens: list[int], on_chunk: OnChunk) -> Block:
        """Read a block behind those that it sees."""
        context = self._assembled(self._sees(len(self.blocks)))
        before = len(context.tokens)
        if self.limit is not None and before + len(tokens) > self.limit:
            raise FitError(
                f"a block of {len(examples)} demonstrations and those it sees have"
                f" {before + len(tokens)} tokens, but the model's context {self.limit}",
                "use smaller blocks, or shorter demonstrations",
            )
        with raw_keys(self._attentions) as recorded:
            context.read(tokens, lambda count: on_chunk(count - before))
        end = len(context.tokens)
        keys = [mx.concatenate(recorder.parts, axis=2) for recorder in recorded]
        values = [mx.contiguous(layer.values[..., before:end, :]) for layer in context.layers]
        mx.eval(keys, values)
        return Block(examples, tokens, keys, values)

    def _assembled(self, selection: Selection) -> Context:
        """Return a new context of these blocks, the positions of their keys without gaps."""
        context = Context(self.model, self.memory_limit)
        blocks = [self.blocks[place] for place in selection]
        if not blocks:
            return context
        starts = [0, *accumulate(len(block.tokens) for block in blocks)]
        layers = []
        for index, attention in enumerate(self._attentions):
            rotated = [
                attention.rope(block.keys[index], offset=start)
                for block, start in zip(blocks, starts, strict=False)
            ]
            values = mx.concatenate([block.values[index] for block in blocks], axis=2)
            layer = KVCache()
            layer.state = (mx.concatenate(rotated, axis=2), values, starts[-1])
            layers.append(layer)
        mx.eval([layer.state for layer in layers])
        context.adopt(layers, [token for block in blocks for token in block.tokens])
        return context

    def _check_memory(self, tokens: int) -> None:
        """Refuse what is still ahead where it would not fit beside a context made from it."""
        if self.memory_limit is None:
            return
        block = self.blocks[-1]
        needed = tokens * block.nbytes / len(block.tokens)
        free = max(0, self.memory_limit - mx.get_active_memory())
        if needed > free:
            raise FitError(
                f"keys and values of {tokens} more tokens of blocks need {needed / 1e9:.1f} GB,"
                f" but {free / 1e9:.1f} GB are free",
                "use fewer demonstrations, or a quantised model",
            )


def _later(on_chunk: OnChunk, before: int, count: int) -> None:
    on_chunk(before + count)
