"""Whether a probability is what it says: calibration error, its picture, a temperature for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 15  # of equal width, as in Guo et al. (1706.04599), section 2
LEAST = 20  # answers below which no temperature is fitted
_COLD, _HOT = 1 / 20, 20.0  # between which temperatures are looked for
_STEPS = 40  # halvings of the interval
_MARK = "#0072b2"

Logits = npt.NDArray[np.float64]
Judged = tuple[Logits, int]
"""The log-probabilities of all labels, and which of them is right."""


@dataclass
class Reliability:
    """Answers by how sure the model was: how many, the sum of its shares, how many were right."""

    counts: list[int] = field(default_factory=lambda: [0] * BINS)
    shares: list[float] = field(default_factory=lambda: [0.0] * BINS)
    right: list[int] = field(default_factory=lambda: [0] * BINS)

    def add(self, share: float, is_right: bool) -> None:
        """Count an answer that the model gave a probability."""
        place = min(int(share * BINS), BINS - 1)
        self.counts[place] += 1
        self.shares[place] += share
        self.right[place] += is_right

    @property
    def error(self) -> float:
        """Return the expected calibration error: |mean share - share right|, weighted by bin."""
        total = sum(self.counts)
        apart = (abs(s - r) for s, r in zip(self.shares, self.right, strict=True))
        return sum(apart) / total if total else 0.0

    def rows(self) -> list[dict[str, float]]:
        """Return the bins that hold answers."""
        return [
            {
                "from": place / BINS,
                "to": (place + 1) / BINS,
                "count": count,
                "probability": self.shares[place] / count,
                "accuracy": self.right[place] / count,
            }
            for place, count in enumerate(self.counts)
            if count
        ]


def softmax(logits: Logits) -> Logits:
    """Return shares that sum to 1 over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def reliability(judged: Sequence[Judged], temperature: float = 1.0) -> Reliability:
    """Return how sure and how right the likeliest labels are at a temperature."""
    found = Reliability()
    for logits, right in judged:
        best = int(logits.argmax())
        found.add(float(softmax(logits / temperature)[best]), best == right)
    return found


def loss(judged: Sequence[Judged], temperature: float = 1.0) -> float:
    """Return the mean of -log of the right label's share, in nats."""
    logits, right = _stacked(judged)
    shares = softmax(logits / temperature)[np.arange(len(right)), right]
    return float(-np.mean(np.log(np.maximum(shares, 1e-300))))


def fit_temperature(judged: Sequence[Judged]) -> float:
    """Return the temperature of the least loss, which has one valley over 1/T: Guo et al., 4.2."""

    def slope(temperature: float) -> float:
        """Return the derivative of the loss by 1/T."""
        return float((softmax(logits / temperature) * logits).sum() - of_right)

    logits, right = _stacked(judged)
    of_right = logits[np.arange(len(right)), right].sum()
    low, high = np.log(_COLD), np.log(_HOT)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if slope(float(np.exp(middle))) > 0:  # a hotter one has less loss
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def _stacked(judged: Sequence[Judged]) -> tuple[Logits, npt.NDArray[np.int64]]:
    """Return the log-probabilities (N, K) and the places of the right ones (N,)."""
    return np.stack([logits for logits, _ in judged]), np.array([right for _, right in judged])


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it was decided by: demonstrations that were not fitted on."""

    temperature: float
    answers: int
    error_before: float | None = None
    error_after: float | None = None
    reason: str = ""
    """Why there is none."""


def none(reason: str) -> Calibration:
    """Return that there is no temperature."""
    return Calibration(1.0, 0, reason=reason)


def calibrate(judged: Sequence[Judged]) -> Calibration:
    """Return the temperature fitted on answers, or 1 where it would not help.

    Each half is judged at the temperature of the other: there the loss and the calibration error
    must both have become less.
    """
    if len(judged) < LEAST:
        words = f"{len(judged)} demonstrations can be asked, {LEAST} are wanted"
        return Calibration(1.0, len(judged), reason=words)
    halves = judged[::2], judged[1::2]
    temperatures = [fit_temperature(half) for half in halves]
    cooled = [
        (logits / temperature, right)
        for half, temperature in zip(halves, reversed(temperatures), strict=True)
        for logits, right in half
    ]
    before, after = reliability(judged).error, reliability(cooled).error
    if loss(cooled) < loss(judged) and after < before:
        return Calibration(fit_temperature(judged), len(judged), before, after)
    words = "it would not help on the demonstrations themselves"
    return Calibration(1.0, len(judged), before, after, words)


def draw(path: Path, found: Reliability, title: str) -> None:
    """Draw how often answers are right by the probability they were given (SVG, PNG or PDF)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "reliability", "font.size": 9}
    with pyplot.rc_context(style):
        figure, (above, below) = pyplot.subplots(
            2, figsize=(4.8, 5.4), height_ratios=(3, 1), sharex=True, layout="constrained"
        )
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
        rows = found.rows()
        above.plot([0, 1], [0, 1], color="#8a8f98", linestyle="--", linewidth=1)
        above.plot(
            [row["probability"] for row in rows],
            [row["accuracy"] for row in rows],
            marker="o",
            color=_MARK,
        )
        above.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right answers")
        above.set_title(title, fontsize=9, parse_math=False)
        below.bar(
            [(row["from"] + row["to"]) / 2 for row in rows],
            [row["count"] for row in rows],
            width=0.9 / BINS,
            color=_MARK,
        )
        below.set(xlabel="probability of the label", ylabel="answers")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close(figure)
