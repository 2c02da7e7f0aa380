"""Questions read side by side behind one context, and branches of answers read behind them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from yofo_mlx.models.logits import log_sums
from yofo_mlx.prompting.context import CHUNK, Context, OnChunk, ignore
from yofo_mlx.prompting.pool import Path, Pool

OWN = 4096  # tokens of all questions read side by side: bounds what they hold and how they wait
KEPT = 2**28  # bytes of branches beyond which none is kept: they are read again where they go on

Tokens = tuple[int, ...]
Logprobs = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Branch:
    """The beginning of answers: what is asked is how likely it goes on as it does."""

    tokens: Tokens
    start: int  # the first of its tokens that is judged
    firsts: npt.NDArray[np.int32]  # what may come after it, to be judged as well; may be empty
    path: Path = ()  # what is kept of its question and of its first tokens
    is_end: bool = False  # nothing goes on from it

    @property
    def read(self) -> Tokens:
        """Return its tokens up to the last one that something is asked of."""
        return self.tokens if len(self.firsts) else self.tokens[:-1]


class Judged(NamedTuple):
    """A branch's log-probability from `start` on, and those of what may come after it."""

    logprob: float
    firsts: Logprobs
    path: Path = ()  # what is kept now


class Asked(Protocol):
    """Questions that have been read."""

    def read(self, wanted: Sequence[tuple[int, Branch]]) -> list[Judged]:
        """Read a branch behind each of these questions."""


@dataclass(frozen=True)
class _Alone:
    """One question, read but for its last token; nothing that is read behind it is kept."""

    context: Context
    last: int
    on_chunk: OnChunk

    def read(self, wanted: Sequence[tuple[int, Branch]]) -> list[Judged]:
        branches = [branch for _, branch in wanted]
        texts = [(self.last, *branch.read) for branch in branches]
        with self.context.aside(len(wanted)) as rows:
            return _judge(rows, texts, branches, self.on_chunk)


@contextmanager
def alone(context: Context, question: Sequence[int], on_chunk: OnChunk = ignore) -> Iterator[Asked]:
    """Read one question; the context is afterwards as it was."""
    with context.aside():
        context.read(question[:-1], on_chunk)
        yield _Alone(context, question[-1], on_chunk)


class SideBySide:
    """Questions by number, each with all that is read behind it until it is forgotten."""

    def __init__(self, context: Context, on_chunk: OnChunk = ignore) -> None:
        """The context has to be one that `can_pool`; it stays as it is."""
        self._context, self._on_chunk = context, on_chunk
        self._pool = Pool(context.layers)
        self._paths: dict[int, Path] = {}
        self._branches: dict[int, set[int]] = {}

    def ends(
        self, asked: Mapping[int, Sequence[int]], written: Mapping[int, int] = MappingProxyType({})
    ) -> Iterator[tuple[list[int], mx.array]]:
        """Read new questions, and a token behind others; yield some with logits (B, V) there."""
        if asked:
            yield [*asked], self._read_on(asked, [()] * len(asked))
        if written:
            texts = {number: (token,) for number, token in written.items()}
            yield [*texts], self._read_on(texts, [self._paths[number] for number in texts])

    def read(self, wanted: Sequence[tuple[int, Branch]]) -> list[Judged]:
        """Read branches, each from where what is kept of it ends."""
        paths = [branch.path for _, branch in wanted]
        done = [len(branch.path) - len(self._paths[n]) for n, branch in wanted]
        branches = [branch for _, branch in wanted]
        texts = [branch.read[start:] for branch, start in zip(branches, done, strict=True)]
        rows = self._context.behind(self._pool.rows(paths))
        judged = _judge(rows, texts, branches, self._on_chunk)
        is_full = self._pool.nbytes > KEPT
        counts = [
            0 if is_full or branch.is_end else len(text)
            for branch, text in zip(branches, texts, strict=True)
        ]
        kept = self._pool.keep(rows.layers, paths, counts)
        for (n, branch), path in zip(wanted, kept, strict=True):
            self._branches.setdefault(n, set()).update(path[len(branch.path) :])
        return [one._replace(path=path) for one, path in zip(judged, kept, strict=True)]

    def _read_on(self, texts: Mapping[int, Sequence[int]], paths: Sequence[Path]) -> mx.array:
        rows = self._context.behind(self._pool.rows(paths))
        logits = _ends(rows, [*texts.values()], self._on_chunk)
        kept = self._pool.keep(rows.layers, paths, [len(text) for text in texts.values()])
        self._paths |= zip(texts, kept, strict=True)
        return logits

    def forget(self, number: int) -> None:
        """Let go of a question and all that was read behind it."""
        self._pool.free({*self._paths.pop(number), *self._branches.pop(number, ())})

    def path(self, number: int) -> Path:
        """Return what is kept of a question."""
        return self._paths[number]

    @property
    def count(self) -> int:
        """Return how many tokens there are of questions and what is written behind them."""
        return sum(map(len, self._paths.values()))


def by_length(questions: Sequence[Sequence[int]]) -> deque[int]:
    """Return the places of questions, the shortest first: those of like lengths come together."""
    return deque(sorted(range(len(questions)), key=lambda place: len(questions[place])))


def taken(
    waiting: deque[int], questions: Sequence[Sequence[int]], most: int, ready: SideBySide
) -> dict[int, Sequence[int]]:
    """Take from those that wait, by growing length, as many as may be read with those there are."""
    free = OWN - ready.count
    some: dict[int, Sequence[int]] = {}
    while waiting and len(some) < most:
        question = questions[waiting[0]]
        if (some or ready.count) and len(question) * (len(some) + 1) > free:
            break
        some[waiting.popleft()] = question
    return some


def write_each(
    context: Context,
    questions: Sequence[Sequence[int]],
    at_once: int,
    take: Callable[[Sequence[int], mx.array], Iterable[int | None]],
    on_chunk: OnChunk = ignore,
) -> Iterator[int]:
    """Write a token of several answers at a time, and yield the place of each that ends.

    As some end, others come in. `take` returns what goes on from logits (B, V), None at an end.
    """
    ready, waiting = SideBySide(context, on_chunk), by_length(questions)
    last: dict[int, int] = {}  # the token that each is to go on with
    while waiting or last:
        some: dict[int, Sequence[int]] = {}
        if waiting and len(last) <= at_once // 2:
            some = taken(waiting, questions, at_once - len(last), ready)
        found = [
            pair
            for places, logits in ready.ends(some, last)
            for pair in zip(places, take(places, logits), strict=True)
        ]
        last = {place: token for place, token in found if token is not None}
        for place in (place for place, token in found if token is None):
            ready.forget(place)
            yield place


def log_softmax(logits: mx.array) -> mx.array:
    """Return log-probabilities."""
    return logits - log_sums(logits)[:, None]


def _ends(rows: Context, texts: Sequence[Sequence[int]], on_chunk: OnChunk) -> mx.array:
    """Read a text in each row, padded on the right; return logits (B, V) at their ends."""
    found: dict[int, mx.array] = {}
    ends = [[len(text) - 1] for text in texts]
    for places, logits in _pieces(rows, texts, ends, on_chunk):
        for at, (row, _) in enumerate(places):
            found[row] = logits[at]
    return mx.stack([found[row] for row in range(len(texts))])


def _judge(
    rows: Context, texts: Sequence[Tokens], branches: Sequence[Branch], on_chunk: OnChunk
) -> list[Judged]:
    """Read a text in each row that ends as its branch has to be read."""
    ahead = [len(branch.read) - len(text) for branch, text in zip(branches, texts, strict=True)]
    wanted = [
        [at - 1 - more for at in range(branch.start, len(branch.read) + 1)]
        for branch, more in zip(branches, ahead, strict=True)
    ]
    sums = [0.0] * len(branches)
    firsts = [np.empty(0, np.float32)] * len(branches)
    for places, logits in _pieces(rows, texts, wanted, on_chunk):
        nexts = [at + 1 + ahead[row] for row, at in places]
        targets = [
            (*branches[row].tokens, 0)[at] for (row, _), at in zip(places, nexts, strict=True)
        ]
        totals = np.array(log_sums(logits))
        picked = mx.take_along_axis(logits, mx.array(targets)[:, None], axis=-1)[:, 0]
        logprobs = (np.array(picked) - totals).tolist()
        for n, ((row, _), at) in enumerate(zip(places, nexts, strict=True)):
            if at < len(branches[row].tokens):
                sums[row] += logprobs[n]
            else:
                firsts[row] = np.array(logits[n][mx.array(branches[row].firsts)]) - totals[n]
    return [Judged(*pair) for pair in zip(sums, firsts, strict=True)]


def _pieces(
    rows: Context,
    texts: Sequence[Sequence[int]],
    wanted: Sequence[Sequence[int]],
    on_chunk: OnChunk,
) -> Iterator[tuple[list[tuple[int, int]], mx.array]]:
    """Read texts in rows (B, L), padded on the right; yield (row, place) with their logits."""
    width, at_once = max(map(len, texts)), max(1, CHUNK // len(texts))
    tokens = np.zeros((len(texts), width), dtype=np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = text
    for start in range(0, width, at_once):
        end = min(start + at_once, width)
        places = [(row, at) for row, some in enumerate(wanted) for at in some if start <= at < end]
        flat = mx.array([row * (end - start) + at - start for row, at in places], dtype=mx.int32)
        logits = rows.logits(mx.array(tokens[:, start:end]), flat, on_chunk)
        on_chunk(len(rows.tokens))
        if places:
            yield places, logits
