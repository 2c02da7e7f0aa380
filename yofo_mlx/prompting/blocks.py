"""Demonstrations encoded once, in blocks; each query reads the most similar ones (2503.08640).

A block is read behind those that it sees: the anchor, which is block 0, and the two before it. Kept
are values, and keys as they are before rotary positions. So any selection of blocks can stand in a
context at positions 0 to m - 1, without gaps. So does what a block sees while it is encoded: that
makes encoding linear in the demonstrations, of which there may be more than the context holds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import mlx.core as mx
from mlx_lm.models.cache import KVCache

from yofo_mlx.errors import DataError, FitError
from yofo_mlx.models.rotary import attentions, raw_keys
from yofo_mlx.prompting.context import Context, OnChunk, ignore
from yofo_mlx.prompting.prefix import Prefix, tokens_of
from yofo_mlx.prompting.retrieval import Similarity
from yofo_mlx.prompting.selection import balanced, least_room
from yofo_mlx.system.quantities import plural, size
from yofo_mlx.tasks.task import Example

SIZE = 50  # demonstrations in a block, as in the paper
SHARE = 0.3  # of the blocks, the anchor among them
_KEPT = 2  # selections whose contexts are kept

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
    """Demonstrations in blocks, and the prefixes put together from them, a query at a time."""

    def __init__(
        self,
        new_prefix: Callable[[], Prefix],
        instruction: str = "",
        size: int | None = None,
        share: float | None = None,
        *,
        sees: Callable[[int], Selection] = sparse,
    ) -> None:
        """`new_prefix` returns an empty one of the model; refuse a model that has no way to.

        `size` None: `SIZE`, or half of it, and so on, as many as fit.
        """
        empty = new_prefix()
        self._attentions = attentions(empty.context.model)
        self._segmenter = empty.segmenter_of(instruction)
        self._memory_limit, self._limit = empty.context.memory_limit, empty.limit
        self._new_prefix, self._instruction, self._sees = new_prefix, instruction, sees
        self.size, self.share = size or SIZE, share or SHARE
        self.made = (instruction, size, share)
        self.blocks: list[Block] = []
        self._prefixes: dict[Selection, Prefix] = {}
        self._similarity = Similarity(())

    @property
    def tokens(self) -> int:
        """Return how many tokens all blocks have."""
        return sum(len(block.tokens) for block in self.blocks)

    @property
    def nbytes(self) -> int:
        """Return the memory of all blocks and of the contexts put together from them."""
        contexts = sum(prefix.context.nbytes for prefix in self._prefixes.values())
        return contexts + sum(block.nbytes for block in self.blocks)

    @property
    def shots(self) -> int:
        """Return how many demonstrations are held."""
        return sum(len(block.examples) for block in self.blocks)

    def order(self, offered: Iterable[Example], seed: int) -> list[Example]:
        """Return them with those held already in their place, then the others in a drawn order."""
        distinct = dict.fromkeys(offered)
        here = [one for block in self.blocks for one in block.examples if one in distinct]
        there = set(here)
        new = [one for one in balanced(list(distinct), seed) if one not in there]
        return [*here, *new]

    def fill(self, examples: Sequence[Example], on_chunk: OnChunk = ignore) -> int:
        """Hold these demonstrations in their order; return how many tokens were read.

        Blocks that they begin with stay as they are, what comes behind them becomes new ones.
        Stopped by Cancelled, those that are whole are kept.
        """
        self._shrink(examples)
        kept = self._kept(examples)
        if kept == len(self.blocks) and self.shots == len(examples):
            return 0
        del self.blocks[kept:]
        self._prefixes.clear()
        start = self.shots
        pieces = list(self._pieces(examples[start:], is_first=not kept))
        if misfit := self._misfit(kept, pieces):
            raise misfit
        ahead = total = sum(len(tokens) for _, tokens in pieces)
        try:
            for some, tokens in pieces:
                told = partial(_later, on_chunk, total - ahead)
                self.blocks.append(self._encode(some, tokens, told))
                ahead -= len(tokens)
                self._check_memory(ahead)
        finally:
            texts = [Example(block.text, str(at)) for at, block in enumerate(self.blocks)]
            self._similarity = Similarity(texts)
        return total

    def kept_tokens(self, examples: Sequence[Example]) -> int:
        """Return how many tokens of these demonstrations are read already."""
        return sum(len(block.tokens) for block in self.blocks[: self._kept(examples)])

    def ahead(self, examples: Sequence[Example]) -> int:
        """Return how many tokens `fill` would read."""
        self._shrink(examples)
        return sum(len(tokens) for _, tokens in self._new(examples))

    def behind(self, query: str) -> Prefix:
        """Return a filled prefix of the blocks that a query sees."""
        return self.prefix(self.select(query))

    def prefix(self, selection: Selection) -> Prefix:
        """Return a filled prefix of these blocks; it is kept for the next query that sees them."""
        if selection not in self._prefixes:
            while len(self._prefixes) >= _KEPT:
                del self._prefixes[next(iter(self._prefixes))]
            prefix = self._new_prefix()
            prefix.context = self._context(selection)
            shown = [one for place in selection for one in self.blocks[place].examples]
            prefix.choose(shown, self._instruction)
            self._prefixes[selection] = prefix
        prefix = self._prefixes[selection] = self._prefixes.pop(selection)  # now the latest
        return prefix

    def select(self, query: str) -> Selection:
        """Return the anchor and the blocks most like a query: a share of all, and what fits."""
        if not self.blocks:
            raise DataError("there are no demonstrations to divide into blocks", "give some first")
        count = max(min(2, len(self.blocks)), int(self.share * len(self.blocks) + 1e-9))
        chosen, tokens = [0], len(self.blocks[0].tokens)
        for place in (int(one.output) for one in self._similarity.ranked(query)):
            size = len(self.blocks[place].tokens)
            if place and len(chosen) < count and self._holds(tokens + size):
                chosen.append(place)
                tokens += size
        return tuple(sorted(chosen))

    def together(self, queries: Sequence[str]) -> Iterator[tuple[Selection, list[int]]]:
        """Yield each selection with the places of the queries that see it, to be asked at once."""
        groups: dict[Selection, list[int]] = {}
        for place, query in enumerate(queries):
            groups.setdefault(self.select(query), []).append(place)
        yield from groups.items()

    @property
    def words(self) -> str:
        """Say what is held."""
        return (
            f"{self.shots:,} in {plural(len(self.blocks), 'block')} of at most {self.size}: each"
            f" query sees the first and those most like it, {self.share:.0%} of them"
            f" ({self.nbytes / 1e9:.2f} GB of keys and values)"
        )

    def told(self, prefix: Prefix) -> str:
        """Say what a query behind some blocks reads."""
        return f"{len(prefix.tokens):,} of {self.tokens:,} tokens in blocks read"

    def _holds(self, tokens: int) -> bool:
        return self._limit is None or tokens <= self._limit - least_room(self._limit)

    def _kept(self, examples: Sequence[Example]) -> int:
        """Return how many blocks hold just what the examples begin with."""
        ends = accumulate(len(block.examples) for block in self.blocks)
        same = (
            tuple(examples[end - len(block.examples) : end]) == block.examples
            for block, end in zip(self.blocks, ends, strict=True)
        )
        return next((place for place, is_same in enumerate(same) if not is_same), len(self.blocks))

    def _pieces(self, examples: Sequence[Example], *, is_first: bool) -> Iterator[Piece]:
        """Yield the examples of each new block with their tokens."""
        for start in range(0, len(examples), self.size):
            some = tuple(examples[start : start + self.size])
            opening = self._segmenter.opening if is_first else ()
            yield some, [*opening, *tokens_of(self._segmenter, some, is_first=is_first)]
            is_first = False

    def _encode(self, examples: tuple[Example, ...], tokens: list[int], on_chunk: OnChunk) -> Block:
        """Read a block behind those that it sees."""
        context = self._context(self._sees(len(self.blocks)))
        before = len(context.tokens)
        end = before + len(tokens)
        with raw_keys(self._attentions) as recorded:
            context.read(tokens, lambda count: on_chunk(count - before))
        keys = [mx.concatenate(recorder.parts, axis=2) for recorder in recorded]
        values = [mx.contiguous(layer.values[..., before:end, :]) for layer in context.layers]
        mx.eval(keys, values)
        return Block(examples, tokens, keys, values)

    def _new(self, examples: Sequence[Example]) -> Iterator[Piece]:
        """Yield what becomes new blocks behind those that are kept."""
        kept = self._kept(examples)
        start = sum(len(block.examples) for block in self.blocks[:kept])
        return self._pieces(examples[start:], is_first=not kept)

    def _shrink(self, examples: Sequence[Example]) -> None:
        """Halve the blocks until they fit, where nobody has said how large they are."""
        while self.made[1] is None and self.size > 1:
            if not self._misfit(self._kept(examples), self._new(examples)):
                return
            self.size //= 2
            self.blocks.clear()
            self._prefixes.clear()

    def _misfit(self, kept: int, pieces: Iterable[Piece]) -> FitError | None:
        """Tell of new blocks that the model's context does not hold with those that they see."""
        sizes = [len(block.tokens) for block in self.blocks[:kept]]
        for examples, tokens in pieces:
            size = len(tokens) + sum(sizes[place] for place in self._sees(len(sizes)))
            if not self._holds(size):
                return FitError(
                    f"a block of {len(examples)} demonstrations and those it sees have {size:,}"
                    f" tokens; the model's context holds {self._limit:,}, with a query",
                    "use smaller blocks (`--block`), or shorter demonstrations",
                )
            sizes.append(len(tokens))
        return None

    def _context(self, selection: Selection) -> Context:
        """Return a new context of these blocks, the positions of their keys without gaps."""
        context = self._new_prefix().context
        blocks = [self.blocks[place] for place in selection]
        if not blocks:
            return context
        self._check_room(sum(block.nbytes for block in blocks), "to put blocks together")
        starts = [0, *accumulate(len(block.tokens) for block in blocks)]
        layers = []
        for index, attention in enumerate(self._attentions):
            rotated = [
                attention.rope(block.keys[index], offset=start)
                for block, start in zip(blocks, starts, strict=False)
            ]
            values = mx.concatenate([block.values[index] for block in blocks], axis=2)
            layers.append(KVCache.from_state((mx.concatenate(rotated, axis=2), values, starts[-1])))
        mx.eval([layer.state for layer in layers])
        context.adopt(layers, [token for block in blocks for token in block.tokens])
        return context

    def _check_memory(self, ahead: int) -> None:
        """Refuse so many tokens more where they would not fit beside a query's context."""
        per_token = self.blocks[-1].nbytes / len(self.blocks[-1].tokens)
        needed = per_token * (ahead + self.share * (self.tokens + ahead))
        if ahead:
            self._check_room(int(needed), f"for {ahead:,} tokens more in blocks")

    def _check_room(self, nbytes: int, why: str) -> None:
        if self._memory_limit is None:
            return
        free = max(0, self._memory_limit - mx.get_active_memory())
        if nbytes > free:
            raise FitError(
                f"keys and values need another {size(nbytes)} {why}, but {size(free)} are free",
                "use fewer demonstrations, or a quantised model",
            )


def _later(on_chunk: OnChunk, before: int, count: int) -> None:
    on_chunk(before + count)
