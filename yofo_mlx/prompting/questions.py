"""Questions read side by side behind one context, and branches of answers read behind them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from yofo_mlx.prompting.context import CHUNK, Context, OnChunk, ignore

OWN = 4096  # tokens of all questions read side by side: bounds what they hold and how they wait

Tokens = tuple[int, ...]
Logprobs = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Branch:
    """The beginning of answers: what is asked is how likely it goes on as it does."""

    tokens: Tokens
    start: int  # the first of its tokens that is judged
    firsts: npt.NDArray[np.int32]  # what may come after it, to be judged as well; may be empty


class Judged(NamedTuple):
    """A branch's log-probability from `start` on, and those of what may come after it."""

    logprob: float
    firsts: Logprobs


class Asked(Protocol):
    """Questions that have been read."""

    def read(self, wanted: Sequence[tuple[int, Branch]]) -> list[Judged]:
        """Read a branch behind each of these questions."""


@dataclass(frozen=True)
class _Alone:
    """One question, read but for its last token."""

    context: Context
    last: int
    on_chunk: OnChunk

    def read(self, wanted: Sequence[tuple[int, Branch]]) -> list[Judged]:
        with self.context.aside(len(wanted)) as rows:
            return _judge(rows, (self.last,), [branch for _, branch in wanted], self.on_chunk)


@dataclass(frozen=True)
class _Together:
    """Questions, one a row, and what is likely to come after each."""

    rows: Context
    lengths: Sequence[int]
    nexts: mx.array  # (B, V) log-probabilities
    on_chunk: OnChunk

    def read(self, wanted: Sequence[tuple[int, Branch]]) -> list[Judged]:
        judged: list[Judged | None] = [
            None if branch.tokens else Judged(0.0, np.array(self.nexts[n][mx.array(branch.firsts)]))
            for n, branch in wanted
        ]
        left = [pair for pair, known in zip(wanted, judged, strict=True) if known is None]
        found: Iterator[Judged] = iter(())
        if left:
            places = [n for n, _ in left]
            rows = self.rows.fork(places, [self.lengths[n] for n in places])
            found = iter(_judge(rows, (), [branch for _, branch in left], self.on_chunk))
        return [known or next(found) for known in judged]


def groups_of(
    context: Context, questions: Sequence[Sequence[int]], at_once: int
) -> list[list[int]]:
    """Return the places of questions to be read side by side, those of like lengths together."""
    order = sorted(range(len(questions)), key=lambda place: len(questions[place]))
    groups: list[list[int]] = []
    for place in order:
        room = min(at_once, OWN // max(1, len(questions[place]))) if context.can_fork else 1
        if not groups or len(groups[-1]) >= room:
            groups.append([])
        groups[-1].append(place)
    return groups


@contextmanager
def asked(
    context: Context, questions: Sequence[Sequence[int]], on_chunk: OnChunk = ignore
) -> Iterator[Asked]:
    """Read questions; the context is afterwards as it was."""
    if len(questions) == 1:
        with context.aside():
            context.read(questions[0][:-1], on_chunk)
            yield _Alone(context, questions[0][-1], on_chunk)
        return
    with context.aside(len(questions)) as rows:
        lengths = [len(question) for question in questions]
        yield _Together(rows, lengths, log_softmax(read_rows(rows, questions, on_chunk)), on_chunk)


def read_rows(
    rows: Context, questions: Sequence[Sequence[int]], on_chunk: OnChunk = ignore
) -> mx.array:
    """Read a question in each row, padded on the right; return logits (B, V) at their ends."""
    found: dict[int, mx.array] = {}
    ends = [[len(question) - 1] for question in questions]
    for places, logits in _pieces(rows, questions, ends, on_chunk):
        for at, (row, _) in enumerate(places):
            found[row] = logits[at]
    return mx.stack([found[row] for row in range(len(questions))])


def log_softmax(logits: mx.array) -> mx.array:
    """Return log-probabilities."""
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


def _judge(
    rows: Context, lead: Tokens, branches: Sequence[Branch], on_chunk: OnChunk
) -> list[Judged]:
    """Read a branch in each row, behind the same tokens."""
    texts, wanted = [], []
    for branch in branches:
        goes_on = len(branch.firsts) > 0
        texts.append(lead + (branch.tokens if goes_on else branch.tokens[:-1]))
        last = len(branch.tokens) + goes_on
        wanted.append([len(lead) + at - 1 for at in range(branch.start, last)])
    sums = [0.0] * len(branches)
    firsts = [np.empty(0, np.float32)] * len(branches)
    for places, logits in _pieces(rows, texts, wanted, on_chunk):
        sums_of = mx.logsumexp(logits, axis=-1)
        nexts = [at + 1 - len(lead) for _, at in places]
        targets = [
            (*branches[row].tokens, 0)[at] for (row, _), at in zip(places, nexts, strict=True)
        ]
        picked = mx.take_along_axis(logits, mx.array(targets)[:, None], axis=-1)[:, 0] - sums_of
        for n, (logprob, (row, _), at) in enumerate(
            zip(np.array(picked), places, nexts, strict=True)
        ):
            if at < len(branches[row].tokens):
                sums[row] += float(logprob)
            else:
                firsts[row] = np.array(logits[n][mx.array(branches[row].firsts)] - sums_of[n])
    return [Judged(*pair) for pair in zip(sums, firsts, strict=True)]


def _pieces(
    rows: Context,
    texts: Sequence[Sequence[int]],
    wanted: Sequence[Sequence[int]],
    on_chunk: OnChunk,
) -> Iterator[tuple[list[tuple[int, int]], Any]]:
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
