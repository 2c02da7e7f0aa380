"""What the model makes of given answers, each read after the same context."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.prompting.context import CHUNK, Context, OnChunk, ignore

ROUNDING = 1e-3  # nats by which two readings of the same may differ

Asked = tuple[Sequence[int], Sequence[int]]
"""The tokens of a question, and those of an answer to it."""
Look = Callable[[mx.array], mx.array]


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
    context: Context, asked: Sequence[Asked], *, at_once: int = 1, on_chunk: OnChunk = ignore
) -> list[AnswersRead]:
    """Read answers to questions, `at_once` of them side by side; the context stays as it was."""
    readings: dict[int, AnswersRead] = {}
    # Those of like lengths together: padding is read as well.
    order = sorted(range(len(asked)), key=lambda place: sum(map(len, asked[place])))
    for start in range(0, len(asked), at_once):
        places = order[start : start + at_once]
        group = [asked[place] for place in places]
        with context.aside(len(group)) as rows:
            readings |= zip(places, _read_group(rows, group, on_chunk), strict=True)
    return [readings[place] for place in range(len(asked))]


def read_logits(
    context: Context, asked: Sequence[Asked], look: Look, at_once: int = 1
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield what `look` makes of the logits before each token of an answer, (N, V) -> (N, ...)."""
    for start in range(0, len(asked), at_once):
        group = asked[start : start + at_once]
        with context.aside(len(group), shared=False) as rows:
            found = [(wanted, np.array(look(logits))) for wanted, logits in _pieces(rows, group)]
        places = np.concatenate([np.argwhere(wanted)[:, 0] for wanted, _ in found])
        values = np.concatenate([part for _, part in found])
        yield from (values[places == row] for row in range(len(group)))


def _pieces(
    context: Context, group: Sequence[Asked]
) -> Iterator[tuple[npt.NDArray[np.bool_], mx.array]]:
    """Yield which places of each piece (B, C) stand before an answer's token, and their logits."""
    width = max(len(question) + len(answer) for question, answer in group)
    tokens = np.zeros((len(group), width), dtype=np.int32)
    wanted = np.zeros((len(group), width), dtype=bool)
    for row, (question, answer) in enumerate(group):
        end = len(question) + len(answer)
        tokens[row, :end] = [*question, *answer]
        wanted[row, len(question) - 1 : end - 1] = True
    for start in range(0, width, CHUNK):
        piece = np.s_[:, start : start + CHUNK]
        logits = context.logits(mx.array(tokens[piece]), mx.array(np.flatnonzero(wanted[piece])))
        if wanted[piece].any():
            yield wanted[piece], logits


def _read_group(context: Context, group: Sequence[Asked], on_chunk: OnChunk) -> list[AnswersRead]:
    """Read a question with its answer in each row (B, L), padded on the right, in pieces."""
    width = max(len(question) + len(answer) for question, answer in group)
    tokens = np.zeros((len(group), width), dtype=np.int32)
    targets = np.full((len(group), width), -1, dtype=np.int32)
    for row, (question, answer) in enumerate(group):
        start, end = len(question), len(question) + len(answer)
        tokens[row, :end] = [*question, *answer]
        targets[row, start - 1 : end - 1] = answer
    losses, likeliest = np.zeros_like(targets, dtype=np.float32), np.zeros_like(targets)
    for start in range(0, width, CHUNK):
        piece = np.s_[:, start : start + CHUNK]
        wanted = targets[piece] >= 0
        rows = mx.array(np.flatnonzero(wanted))
        logits = context.logits(mx.array(tokens[piece]), rows, on_chunk)
        if wanted.any():
            losses[piece][wanted] = token_losses(logits, mx.array(targets[piece][wanted]))
            likeliest[piece][wanted] = logits.argmax(axis=-1)
        on_chunk(len(context.tokens))
    found = zip(losses, likeliest, targets >= 0, strict=True)
    return [AnswersRead(loss[answer], best[answer].tolist()) for loss, best, answer in found]
