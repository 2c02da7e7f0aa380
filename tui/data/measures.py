"""What data sets take in the tokens of a model, and how often each label is, as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from rich.cells import cell_len
from textual.content import Content

from ..shared.blocks import bar
from ..shared.table import head
from ..shared.words import MUTED, lines, muted, number

ROOMS = (4096, 16384, 65536)  # tokens of contexts that shots are counted for
NAMES = ("4k", "16k", "64k")
HEIGHTS = " ▁▂▃▄▅▆▇█"
LONGEST_LABEL = 28  # cells


@dataclass(frozen=True)
class Measure:
    """A data set in tokens: of its rows together, of one, and how many fit a context."""

    rows: int
    tokens: int
    median: int
    shortest: int
    longest: int
    bins: tuple[int, ...]
    fits: tuple[int, ...]  # rows, for each of the rooms
    is_sampled: bool  # measured on some of the rows

    @property
    def total(self) -> str:
        """Return the tokens of all rows, marked where they are an estimate."""
        return f"{'~' if self.is_sampled else ''}{number(self.tokens)}"


def measure_from(facts: dict[str, Any]) -> Measure | None:
    """Return what JSON holds; None for a data set without rows."""
    if not facts["rows"]:
        return None
    fits = tuple(facts["fits"][str(room)] for room in ROOMS)
    return Measure(**facts | {"bins": tuple(facts["bins"]), "fits": fits})


def label_bars(labels: Sequence[tuple[str, int]], count: int, width: int, rows: int) -> Content:
    """Draw how often each label is, the most frequent first, on so many rows."""
    most = labels[0][1] if labels else 1
    shown = labels if len(labels) <= rows and count == len(labels) else labels[: max(1, rows - 1)]
    names = [head(label.replace("\n", "⏎"), min(LONGEST_LABEL, width // 2)) for label, _ in shown]
    wide = max(map(cell_len, names), default=0)
    digits = max((len(f"{times:,}") for _, times in shown), default=1)
    room = max(4, width - wide - digits - 3)
    drawn = [
        Content.assemble(
            name + " " * (wide - cell_len(name) + 1),
            (bar(times / most, room), MUTED),
            f" {times:>{digits},}",
        )
        for name, (_, times) in zip(names, shown, strict=True)
    ]
    if (more := count - len(shown)) > 0:
        least = f", least: {head(labels[-1][0], 20)} {labels[-1][1]:,}" * (len(labels) == count)
        drawn.append(muted(f"… {more:,} more{least}"))
    return lines(drawn)


def lengths(measure: Measure, width: int) -> Content:
    """Draw how long rows are in tokens, and say how many shots fit."""
    wide = min(width, max(24, len(measure.bins)))
    low, high = f"{measure.shortest:,}", f"{measure.longest:,}"
    words = f"median {measure.median:,}"
    gap = max(1, wide - len(low) - len(high))
    return lines(
        [
            muted(_columns(measure.bins, wide)),
            muted(f"{low}{words:^{gap}}{high}" if gap > len(words) else f"{low} to {high}"),
            shots_that_fit(measure),
        ]
    )


def shots_that_fit(measure: Measure) -> Content:
    """Say how many rows fit each context."""
    return Content(f"shots: {', '.join(f'{fit} fit {name}' for fit, name in fitting(measure))}")


def fitting(measure: Measure) -> list[tuple[str, str]]:
    """Return how many rows fit which context, up to the first that all of them fit."""
    said: list[tuple[str, str]] = []
    for name, fit in zip(NAMES, measure.fits, strict=True):
        if fit == measure.rows:
            return [*said, ("all", name)]
        said.append((f"{fit:,}", name))
    return said


def _columns(bins: Sequence[int], width: int) -> str:
    """Draw each bin as high as it is full, as wide as there is room; an empty one is a gap."""
    times = max(1, width // max(1, len(bins)))
    top = len(HEIGHTS) - 1
    return "".join(HEIGHTS[ceil(count / max(bins) * top)] * times for count in bins)
