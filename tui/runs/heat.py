"""How scores develop: demonstrations, or tasks, by validation, as shades."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from textual.content import Content
from textual.widget import Widget

from ..shared.blocks import spark
from ..shared.table import head
from ..shared.words import MUTED, muted, number, percent
from .view import ByShots, RunView, TaskResult, Validation

IN_DIGITS: Final = 4  # columns of a cell from which its number is in it
WIDEST: Final = 6
PALEST: Final = 0.25  # a score whose shade is full, where none is higher
SHADES: Final = " ░▒▓█"
LABEL: Final = 6  # columns before the shades, by shots
TASK: Final = 18  # likewise, by task
END: Final = 11  # columns after them
SPARK: Final = 9
Row = tuple[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class Grid:
    """Scores: a row for each number of demonstrations or task, a column for each validation."""

    heading: str
    steps: tuple[int, ...]
    best: int | None  # the step of the best validation
    rows: tuple[Row, ...]


def by_shots(validations: Sequence[Validation]) -> Grid:
    """Return the scores of the first metric, a row for each number of demonstrations."""
    columns = [dict(one.main) for one in validations]
    shots = sorted({count for column in columns for count in column})
    rows = tuple((str(n), tuple(column.get(n) for column in columns)) for n in shots)
    return _grid("shots", validations, rows)


def by_task(validations: Sequence[Validation]) -> Grid:
    """Return the scores at the most demonstrations of each, a row for each task."""
    columns = [{name: _at_most(one.tasks[name]) for name in one.tasks} for one in validations]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = tuple((name, tuple(column.get(name) for column in columns)) for name in names)
    return _grid("task", validations, rows)


def _grid(heading: str, validations: Sequence[Validation], rows: tuple[Row, ...]) -> Grid:
    best = next((one.step for one in reversed(validations) if one.is_best), None)
    return Grid(heading, tuple(one.step for one in validations), best, rows)


def drawn(grid: Grid, width: int, height: int) -> Content:
    """Draw a grid into so many cells; of too many rows and columns some are left out, evenly."""
    label = TASK if grid.heading == "task" else LABEL
    room = width - label - END
    if room < 1 or not grid.steps or height < 2:
        return Content()
    columns = _some(len(grid.steps), room)
    cell = min(WIDEST, room // len(columns))
    rows = [grid.rows[n] for n in _some(len(grid.rows), height - 1)]
    full = max([PALEST, *(v for _, values in rows for v in values if v is not None)])
    parts: list[Content] = [_heading(grid, columns, cell, label)]
    for name, values in rows:
        cells = [_cell(values[n], full, cell) for n in columns]
        shown = muted(f"{head(name, label - 2):>{label - 2}}  ")
        parts.append(Content.assemble(shown, *cells, *_end(values)))
    return Content("\n").join(parts)


def _heading(grid: Grid, columns: Sequence[int], cell: int, label: int) -> Content:
    """Write the steps over the columns, as many as there is room for; the best one is marked."""
    line, free_from = [" "] * (cell * len(columns)), 0
    for place, n in enumerate(columns):
        step = grid.steps[n]
        words = f"◆{_step(step)}" if step == grid.best else _step(step)
        start = place * cell + max(0, cell - len(words)) // 2
        is_last = place == len(columns) - 1
        start = min(start, max(0, len(line) - len(words))) if is_last else start
        if start >= free_from and start + len(words) <= len(line):
            line[start : start + len(words)] = words
            free_from = start + len(words) + 1
    return Content.assemble(muted(f"{grid.heading:>{label - 2}}  "), muted("".join(line)))


def _cell(value: float | None, full: float, width: int) -> tuple[str, str]:
    if value is None:
        return " " * width, ""
    share = min(max(value / full, 0.0), 1.0)
    if width < IN_DIGITS:
        return SHADES[round(share * (len(SHADES) - 1))] * width, "$text-success"
    return f"{100 * value:^{width}.0f}", f"auto on $success {round(6 + 84 * share)}%"


def _end(values: Sequence[float | None]) -> list[Content | tuple[str, str]]:
    """Write the last score, and how far it is from the first."""
    known = [value for value in values if value is not None]
    if not known:
        return []
    change = f"{100 * (known[-1] - known[0]):+.0f}" if len(known) > 1 else ""
    return [(f" {percent(known[-1]):>4}", "bold"), (f" {change:>4}", MUTED)]


def _some(count: int, most: int) -> list[int]:
    """Return so many places at most, from the first to the last, as evenly as can be."""
    if count <= most:
        return list(range(count))
    if most < 2:
        return [count - 1]
    return sorted({round(n * (count - 1) / (most - 1)) for n in range(most)})


def _step(step: int) -> str:
    return str(step) if step < 10_000 else number(step)


def tasks_drawn(tasks: Sequence[TaskResult], width: int, height: int) -> Content:
    """Draw what tasks scored with base and adapter at their most demonstrations, and by shots."""
    if not tasks:
        return Content()
    name = max(8, min(width - 32 - SPARK, max(len(one.task) for one in tasks), 32))
    parts = [muted(f"{'task':<{name}} {'shots':>5} {'base':>5} {'now':>5} {'gain':>6}  by shots")]
    shown = sorted(tasks, key=lambda one: -(_gain(one) or 0.0))
    rows = shown if len(shown) < height else shown[: max(1, height - 2)]
    for one in rows:
        parts.append(_task(one, name))
    if len(rows) < len(shown):
        parts.append(muted(f"and {len(shown) - len(rows)} more, with smaller gains"))
    return Content("\n").join(parts)


def _task(one: TaskResult, width: int) -> Content:
    gain = _gain(one)
    style = "" if gain is None else "$text-success" if gain > 0 else "$text-warning"
    most = one.adapter[-1][0] if one.adapter else 0
    return Content.assemble(
        f"{head(one.task, width):<{width}} {most:>5} ",
        (f"{_points(_at_most(one.base)):>5}", MUTED),
        f" {_points(_at_most(one.adapter)):>5} ",
        (f"{'–' if gain is None else f'{100 * gain:+.1f}':>6}", style),
        (f"  {spark([y for _, y in one.adapter], SPARK)}", "$text-success"),
    )


def _gain(one: TaskResult) -> float | None:
    both = dict(one.base).keys() & dict(one.adapter).keys()
    return dict(one.adapter)[max(both)] - dict(one.base)[max(both)] if both else None


def _at_most(points: ByShots) -> float | None:
    return points[-1][1] if points else None


def _points(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


class HeatStrip(Widget):
    """Accuracy by demonstrations, or by task, and step: pale is low, full is high."""

    HELP = (
        "Columns are validations, rows are numbers of demonstrations (or tasks, with t): the "
        "fuller the shade, the higher the score. Behind each row stand its last score and how far "
        "it came since the first validation; ◆ is the best validation."
    )
    DEFAULT_CSS = "HeatStrip { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None, is_by_task: bool = False) -> None:
        super().__init__(id=id)
        self._grid: Grid | None = None
        self._view: RunView | None = None
        self.is_by_task = is_by_task

    def follow(self, view: RunView) -> None:
        """Draw a run."""
        self._view = view
        grid = (by_task if self.is_by_task else by_shots)(view.validations)
        if grid != self._grid:
            is_taller = self._grid is None or len(grid.rows) != len(self._grid.rows)
            self._grid = grid
            self.refresh(layout=is_taller)

    def turn(self) -> None:
        """Change between demonstrations and tasks."""
        self.is_by_task = not self.is_by_task
        if self._view is not None:
            self.follow(self._view)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """Return as many rows as there are."""
        return 1 + max(1, len(self._grid.rows)) if self._grid else 1

    def render(self) -> Content:
        """Draw the grid into the space there is."""
        if self._grid is None or not self._grid.steps:
            return muted("Nothing was validated yet.")
        if not self._grid.rows:
            words = "no scores by task: this run is from before they were kept"
            return muted(words if self.is_by_task else "its validations have no scores by shots")
        return drawn(self._grid, self.size.width, self.size.height)
