"""A line chart in braille dots.

Drawn here in about a hundred lines: plotext keeps one global figure, styles outside the theme, and
has no charts whose x axis is a handful of named places.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from textual.content import Content
from textual.widget import Widget

from .braille import Canvas
from .curve import Point
from .words import muted

GUTTER = 6  # columns of the y axis' numbers


@dataclass(frozen=True)
class Line:
    """One curve: its name in the legend, its points, its style, and how it is drawn."""

    name: str
    points: tuple[Point, ...]
    style: str
    joined: bool = True  # False draws dots only
    marked: bool = False  # True makes every point stand out

    def heights(self) -> list[float]:
        """Return the values that must be seen; of loose dots, a few outliers may be lost."""
        values = [y for _, y in self.points]
        outliers = 0 if self.joined else len(values) // 50
        return sorted(values)[outliers : len(values) - outliers]


@dataclass(frozen=True)
class Axes:
    """What the chart spans, and what is written along it."""

    y_format: Callable[[float], str]
    y_range: tuple[float, float] | None = None  # None fits the points
    ticks: tuple[tuple[float, str], ...] = ()  # named places on the x axis; none: first and last x
    x_format: Callable[[float], str] = "{:.0f}".format


class Chart(Widget):
    """Lines over a common x axis, with a legend above; says why when there is nothing to draw."""

    DEFAULT_CSS = "Chart { height: 1fr; width: 1fr; padding: 0 1; }"

    def __init__(self, heading: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.heading, self._empty = heading, ""
        self._lines: tuple[Line, ...] = ()
        self._axes = Axes("{:g}".format)

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return what is drawn."""
        return self._lines

    def show(self, lines: Sequence[Line], axes: Axes, empty: str) -> None:
        """Draw these lines from now on; without any point, say `empty`."""
        lines = tuple(line for line in lines if line.points)
        if (lines, axes, empty) != (self._lines, self._axes, self._empty):
            self._lines, self._axes, self._empty = lines, axes, empty
            self.refresh()

    def render(self) -> Content:
        """Draw heading, curves and axis into the space there is."""
        width, height = self.size
        if not self._lines or height < 4 or width < GUTTER + 8:
            return Content("\n").join([self._legend(), muted(self._empty)])
        rows, columns = height - 3, width - GUTTER - 1
        canvas = Canvas(columns, rows)
        window = self._window()
        for line in self._lines:
            _draw(canvas, line, window)
        drawn = [self._legend()]
        for index, stretches in enumerate(canvas.rows()):
            label = self._y_label(index, rows, window)
            axis = muted(f"{label:>{GUTTER}}│")
            drawn.append(axis + Content.assemble(*stretches))
        return Content("\n").join([*drawn, *self._x_axis(columns, window)])

    def _legend(self) -> Content:
        parts: list[Content | tuple[str, str]] = [(self.heading, "bold")]
        for line in self._lines:
            mark = "◆" if line.marked else ("━" if line.joined else "∙")
            parts.append((f"  {mark} {line.name}", line.style))
        return Content.assemble(*parts).truncate(self.size.width, ellipsis=True)

    def _window(self) -> "Window":
        xs = [x for line in self._lines for x, _ in line.points]
        xs += [x for x, _ in self._axes.ticks]
        low, high = self._axes.y_range or _spread([y for k in self._lines for y in k.heights()])
        return Window(min(xs), max(xs), low, high)

    def _y_label(self, index: int, rows: int, window: "Window") -> str:
        if index not in (0, rows - 1, rows // 2) or (index == rows // 2 and rows < 5):
            return ""
        share = 1 - (index + 0.5) / rows
        share = {0: 1.0, rows - 1: 0.0}.get(index, share)
        return self._axes.y_format(window.low + (window.high - window.low) * share)

    def _x_axis(self, columns: int, window: "Window") -> list[Content]:
        ticks = self._axes.ticks or tuple(
            (x, self._axes.x_format(x)) for x in dict.fromkeys((window.left, window.right))
        )
        rule, labels, free_from = list("─" * columns), [" "] * columns, 0
        for x, label in ticks:
            at = window.place(x, columns)
            start = min(max(at - len(label) // 2, 0), max(columns - len(label), 0))
            rule[at] = "┴"
            if start >= free_from:
                labels[start : start + len(label)] = list(label)
                free_from = start + len(label) + 1
        margin = " " * GUTTER
        return [
            muted(f"{margin}└{''.join(rule)}"),
            muted(f"{margin} {''.join(labels[:columns])}"),
        ]


@dataclass(frozen=True)
class Window:
    """The stretch of the plane that is shown."""

    left: float
    right: float
    low: float
    high: float

    def place(self, x: float, columns: int) -> int:
        """Return the column of x among so many."""
        return _cell(x, self.left, self.right, columns)

    def level(self, y: float, rows: int) -> int:
        """Return the row of y, counted from the bottom."""
        return _cell(y, self.low, self.high, rows)


def _cell(value: float, first: float, last: float, count: int) -> int:
    """Return which of `count` cells a value is in; whatever is far outside is just outside."""
    span = last / 2 - first / 2  # halves: the largest floats must not overflow
    if not span:
        return count // 2
    share = (value / 2 - first / 2) / span
    return round(min(max(share, -1.0), 2.0) * (count - 1)) if math.isfinite(share) else -1


def _draw(canvas: Canvas, line: Line, window: Window) -> None:
    dots = [(window.place(x, canvas.width), window.level(y, canvas.height)) for x, y in line.points]
    if line.joined:
        for start, end in pairwise(dots):
            canvas.line(start, end, line.style)
    for x, y in dots:
        canvas.dot(x, y, line.style)
        if line.marked:
            for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                canvas.dot(x + dx, y + dy, line.style)


def _spread(values: list[float]) -> tuple[float, float]:
    """Return bounds around the values, never of no height."""
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    return low, high
