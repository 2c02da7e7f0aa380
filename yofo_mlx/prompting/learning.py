"""The learning curve of a set of demonstrations: how each was foretold by those before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np

_FEWEST = 16  # answers, below which nothing is said
_SURE = 2.0  # standard errors


@dataclass(frozen=True)
class Foretold:
    """One answer: how unlikely it was, in nats, and whether it was the label expected there."""

    loss: float
    is_right: bool | None = None  # None where answers are no labels


@dataclass(frozen=True)
class Stretch:
    """Demonstrations that follow one another, counted from 1."""

    first: int
    last: int
    loss: float  # mean, in nats
    error: float  # standard error of that mean
    right: int | None  # answers that were expected; None where they are no labels

    @property
    def count(self) -> int:
        """Return how many they are."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Learning:
    """The curve, and what it lets one say."""

    curve: list[Stretch]  # each twice as long as the one before it
    is_understood: bool | None  # None: cannot be told
    is_improving: bool | None
    told: str


def learning_of(answers: Sequence[Foretold], most_frequent: float) -> Learning:
    """Compare the last quarter with those before; `most_frequent`: the largest label's share."""
    curve, first = list[Stretch](), 1
    while first <= len(answers):
        curve.append(_stretch(answers, first, min(2 * first - 1, len(answers))))
        first *= 2
    if len(answers) < _FEWEST:
        few = f"{len(answers)} answers are too few to say whether the task is understood"
        return Learning(curve, None, None, few)
    quarter = len(answers) // 4
    last = _stretch(answers, len(answers) - quarter + 1, len(answers))
    before = _stretch(answers, last.first - quarter, last.first - 1)
    start = _stretch(answers, 1, quarter)
    if last.right is None:
        is_understood: bool | None = (
            _gain(start, last) > _SURE or None
        )  # it may have been known before
        figures = (
            f"an answer's token costs {last.loss:.2f} nats in the last {quarter},"
            f" {before.loss:.2f} in the {quarter} before, {start.loss:.2f} in the first"
        )
    else:
        chance = most_frequent + _SURE * sqrt(most_frequent * (1 - most_frequent) / quarter)
        is_understood = last.right > chance * quarter
        figures = (
            f"the model expected {last.right} of the last {quarter} answers, {before.right} of the"
            f" {quarter} before, {start.right} of the first"
        )
    gain = _gain(before, last)
    return Learning(
        curve, is_understood, gain > _SURE, f"{figures}: {_verdict(is_understood, gain)}"
    )


def _verdict(is_understood: bool | None, gain: float) -> str:
    if is_understood is None:
        return "what the demonstrations teach cannot be told from that"
    if not is_understood:
        known = "no sign that the task is understood"
        return f"{known} yet, but it gets better" if gain > _SURE else known
    if gain > _SURE:
        return "the task is understood better and better, and more demonstrations should help"
    if gain < -_SURE:
        return "the task is understood, but less well towards the end: look at the last ones"
    return "the task is understood, and no gain of the last ones over those before can be made out"


def _stretch(answers: Sequence[Foretold], first: int, last: int) -> Stretch:
    some = answers[first - 1 : last]
    losses = np.array([one.loss for one in some])
    error = losses.std(ddof=1) / sqrt(len(some)) if len(some) > 1 else 0.0
    right = None if some[0].is_right is None else sum(bool(one.is_right) for one in some)
    return Stretch(first, last, float(losses.mean()), float(error), right)


def _gain(before: Stretch, after: Stretch) -> float:
    """Return by how many standard errors the loss fell."""
    return (before.loss - after.loss) / (hypot(before.error, after.error) or 1e-9)
