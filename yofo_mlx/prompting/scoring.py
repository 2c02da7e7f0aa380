"""What the model makes of given answers, each read after the same context."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.prompting.context import CHUNK, Context

ROUNDING = 1e-3  # nats by which two readings of the same may differ

Asked = tuple[Sequence[int], Sequence[int]]
"""The tokens of a question, and those of an answer to it."""
Look = Callable[[mx.array, mx.array], tuple[mx.array, ...]]
"""What is wanted of logits (N, V) before tokens (N,)."""
Ints = npt.NDArray[Any]


@dataclass(frozen=True)
class AnswersRead:
    """What the model thought before each token of an answer, the earlier ones being given."""

    losses: npt.NDArray[np.float32]  # (N,) -log p of the token, in nats
    likeliest: list[int]  # (N,) what greedy decoding would write in its place


@dataclass(frozen=True)
class LabelScore:
    """A label and the log-probability of its tokens, the answer's end included."""

    label: str
    logprob: float


def read_answers(
    context: Context, asked: Sequence[Asked], *, at_once: int = 1
) -> list[AnswersRead]:
    """Read answers to questions, `at_once` of them side by side; the context stays as it was."""

    def look(logits: mx.array, tokens: mx.array) -> tuple[mx.array, ...]:
        return token_losses(logits, tokens), logits.argmax(axis=-1)

    # Those of like lengths together: padding is read as well.
    order = sorted(range(len(asked)), key=lambda place: sum(map(len, asked[place])))
    read = _read(context, [asked[place] for place in order], look, at_once)
    found = {
        place: AnswersRead(losses, likeliest.tolist())
        for place, (losses, likeliest) in zip(order, read, strict=True)
    }
    return [found[place] for place in range(len(asked))]


def read_logits(
    context: Context,
    asked: Sequence[Asked],
    look: Callable[[mx.array], mx.array],
    at_once: int = 1,
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield what `look` makes of the logits before each token of an answer, (N, V) -> (N, ...)."""
    yield from (one for (one,) in _read(context, asked, lambda *of: (look(of[0]),), at_once))


def _read(
    context: Context, asked: Sequence[Asked], look: Look, at_once: int
) -> Iterator[tuple[Any, ...]]:
    """Yield for each answer the arrays (N, ...) that `look` makes of what stands before it."""
    for start in range(0, len(asked), at_once):
        group = asked[start : start + at_once]
        with context.aside(len(group)) as lent:
            found = [
                (rows, [np.array(part) for part in look(logits, mx.array(tokens))])
                for rows, tokens, logits in _pieces(lent, group)
            ]
        rows = np.concatenate([places for places, _ in found])
        values = [np.concatenate(parts) for parts in zip(*(of for _, of in found), strict=True)]
        yield from (tuple(one[rows == row] for one in values) for row in range(len(group)))


def _pieces(context: Context, group: Sequence[Asked]) -> Iterator[tuple[Ints, Ints, mx.array]]:
    """Read a question with its answer in each row (B, L), padded on the right, in pieces.

    Yield for the answers' tokens in each their rows (N,), themselves (N,), and logits (N, V) there.
    """
    width = max(len(question) + len(answer) for question, answer in group)
    tokens = np.zeros((len(group), width), dtype=np.int32)
    targets = np.full((len(group), width), -1, dtype=np.int32)
    for row, (question, answer) in enumerate(group):
        start, end = len(question), len(question) + len(answer)
        tokens[row, :end] = [*question, *answer]
        targets[row, start - 1 : end - 1] = answer
    for start in range(0, width, CHUNK):
        piece = np.s_[:, start : start + CHUNK]
        wanted = targets[piece] >= 0
        logits = context.logits(mx.array(tokens[piece]), mx.array(np.flatnonzero(wanted)))
        if wanted.any():
            yield np.nonzero(wanted)[0], targets[piece][wanted], logits
