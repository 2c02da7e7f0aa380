"""Losses of whole answers, from those of their tokens."""

from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from yofo_mlx.episodes.batches import Batch

# Of a probability that is 1 to the last bit no logarithm of the rest can be taken.
LEAST = 1e-6


@dataclass(frozen=True)
class Contrast:
    """The last answer of an episode, and those that stand in its place in other rows."""

    right: int  # places among a batch's answers
    rejected: list[int]
    wrong: list[int]
    mass: float
    """The episode's part of the denominator: a term of that weight is added to its mean."""


def means(losses: mx.array, batch: Batch) -> mx.array:
    """Return each answer's mean over its tokens, (N,) -> (A,)."""
    sizes = np.bincount(batch.answers).astype(np.float32)
    return mx.zeros(len(sizes)).at[mx.array(batch.answers)].add(losses) / mx.array(sizes)


def unlikely(losses: mx.array) -> mx.array:
    """Return -log(1 - p) of what has the loss -log p."""
    return -mx.log(LEAST - mx.expm1(-losses))


def contrasts(batch: Batch) -> Iterator[Contrast]:
    """Yield the last answer of each row with those that it is compared with, if there are any."""
    by_row: dict[int, list[int]] = {}
    for answer, row in enumerate(batch.rows_of_answers.tolist()):
        by_row.setdefault(row, []).append(answer)
    sizes = np.bincount(batch.answers)
    for row, answers in by_row.items():
        others = [one for one, place in enumerate(batch.beside) if place == row != one]
        rejected, wrong = (
            [by_row[one][-1] for one in others if batch.kinds[one] == kind]
            for kind in ("rejected", "wrong")
        )
        mass = sizes[answers].sum() if batch.objective.normalize == "token" else len(answers)
        yield Contrast(answers[-1], rejected, wrong, float(mass))
