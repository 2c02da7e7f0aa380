"""A line chart in braille dots.

Drawn here: plotext keeps one global figure, styles outside the theme, and has no charts whose x
axis is a handful of named places.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from textual.content import Content
from textual.widget import Widget

from .braille import EMPTY, Canvas
from .curve import Point
from .ticks import log_ticks, round_ticks
from .words import muted, number

GUTTER = 6  # columns of the y axis' numbers
MARK = "◆"
GRID = "$foreground 15%"


@dataclass(frozen=True)
class Line:
    """One curve: its name in the legend, its points, its style, and how it is drawn."""

    name: str  # empty: it is not in the legend
    points: tuple[Point, ...]
    style: str
    joined: bool = True  # False draws dots only
    marked: bool = False  # True makes every point stand out
    end: str = ""  # what is written behind its last point
    dashed: bool = False

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
    ticks: tuple[tuple[float, str], ...] = ()  # named places on the x axis; none: round numbers
    x_format: Callable[[float], str] = number
    x_range: tuple[float, float] | None = None  # None fits the points
    is_log: bool = False  # the y axis; what is not above 0 is left out
    cursor: float | None = None  # an x where a line stands


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
        rows = height - 3
        margin = max((len(line.end) for line in self._lines), default=0)
        margin = margin + 1 if margin and width > GUTTER + margin + 12 else 0
        columns = width - GUTTER - 1 - margin
        window, canvas = self._window(), Canvas(columns, rows)
        for line in self._lines:
            _draw(canvas, line, window)
        ticks = self._y_ticks(rows, window)
        ends = self._ends(rows, window) if margin else {}
        drawn = [self._legend()]
        cursor = self._axes.cursor
        at = None if cursor is None else window.place(cursor, canvas.width) // 2
        for index, stretches in enumerate(canvas.rows()):
            label = ticks.get(index, "")
            axis = muted(f"{label:>{GUTTER}}{'┤' if label else '│'}")
            end, style = ends.get(index, ("", ""))
            plain = _ruled(stretches, is_grid=index in ticks, cursor=at)
            drawn.append(Content.assemble(axis, *plain, (f" {end}" if end else "", style)))
        return Content("\n").join([*drawn, *self._x_axis(columns, window)])

    def _legend(self) -> Content:
        parts: list[Content | tuple[str, str]] = [(self.heading, "bold")]
        for line in self._lines:
            if line.name:
                mark = MARK if line.marked else ("━" if line.joined else "∙")
                mark = "╌" if line.dashed else mark
                parts.append((f"  {mark} {line.name}", line.style))
        return Content.assemble(*parts).truncate(self.size.width, ellipsis=True)

    def _window(self) -> "Window":
        xs = [x for line in self._lines for x, _ in line.points]
        xs += [x for x, _ in self._axes.ticks]
        left, right = self._axes.x_range or (min(xs), max(xs))
        seen = [y for k in self._lines for y in k.heights()]
        if self._axes.is_log:
            low, high = _spread([y for y in seen if y > 0] or [1.0])
            low, high = max(low, high * 1e-9), high
            return Window(left, right, math.log10(low), math.log10(high), is_log=True)
        return Window(left, right, *(self._axes.y_range or _spread(seen)))

    def _y_ticks(self, rows: int, window: "Window") -> dict[int, str]:
        """Return what is written at which row, the top one being 0."""
        most = max(2, rows // 3)
        found = (
            log_ticks(10**window.low, 10**window.high, most)
            if window.is_log
            else round_ticks(window.low, window.high, most)
        )
        return {rows - 1 - window.level(y, rows): self._axes.y_format(y) for y in reversed(found)}

    def _ends(self, rows: int, window: "Window") -> dict[int, tuple[str, str]]:
        """Return what stands behind the lines at which row; the last line has the first choice."""
        found: dict[int, tuple[str, str]] = {}
        for line in reversed([line for line in self._lines if line.end]):
            row = rows - 1 - window.level(line.points[-1][1], rows)
            near = [row, row + 1, row - 1, row + 2, row - 2]
            free = next((one for one in near if 0 <= one < rows and one not in found), None)
            if free is not None:
                found[free] = (line.end, line.style)
        return found

    def _x_ticks(self, window: "Window", most: int) -> list[tuple[float, str]]:
        """Return round places and what is written there; none whose words are another's."""
        found = [(x, self._axes.x_format(x)) for x in round_ticks(window.left, window.right, most)]
        if len({words for _, words in found}) < len(found):
            found = [(x, words) for x, words in found if x.is_integer()]
        return found

    def _x_axis(self, columns: int, window: "Window") -> list[Content]:
        ticks = self._axes.ticks or self._x_ticks(window, max(2, columns // 9))
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
    """The stretch of the plane that is shown; with `is_log` its heights are powers of ten."""

    left: float
    right: float
    low: float
    high: float
    is_log: bool = False

    def place(self, x: float, columns: int) -> int:
        """Return the column of x among so many."""
        return _cell(x, self.left, self.right, columns)

    def level(self, y: float, rows: int) -> int:
        """Return the row of y, counted from the bottom."""
        if self.is_log:
            return _cell(math.log10(y), self.low, self.high, rows) if y > 0 else -1
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
            canvas.line(start, end, line.style, dashed=line.dashed)
    for x, y in dots:
        if not line.dashed or line.marked or len(dots) == 1:
            canvas.dot(x, y, line.style)
        if line.marked:
            canvas.mark(x, y, MARK, line.style)


def _ruled(
    stretches: list[tuple[str, str]], *, is_grid: bool, cursor: int | None
) -> list[tuple[str, str]]:
    """Return a row with the grid and the cursor's line where nothing is drawn."""
    if not is_grid and cursor is None:
        return stretches
    ruled: list[tuple[str, str]] = []
    at = 0
    for text, style in stretches:
        for character in text:
            cell = (character, style)
            if character == chr(EMPTY):
                cell = ("│", "$text-accent") if at == cursor else cell
                cell = ("┈", GRID) if is_grid and at != cursor else cell
            if ruled and ruled[-1][1] == cell[1]:
                ruled[-1] = (ruled[-1][0] + cell[0], cell[1])
            else:
                ruled.append(cell)
            at += 1
    return ruled


def _spread(values: list[float]) -> tuple[float, float]:
    """Return bounds around the values, never of no height."""
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    return low, high
