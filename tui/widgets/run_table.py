"""The table of runs, newest first."""

import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import DataTable

from tui.follow import RunView
from tui.widgets.keys import VIM
from tui.words import MARKS, age, number
from yofo_mlx.events import figure
from yofo_mlx.text import printable

# label, least width of the table at which the column is shown, cell
Column = tuple[str, int, Callable[[RunView], str]]
COLUMNS: tuple[Column, ...] = (
    ("run", 0, lambda view: view.run.run_id),
    ("model", 0, lambda view: view.model.rstrip("/").rsplit("/", 1)[-1]),
    ("step", 0, lambda view: _steps(view)),
    ("loss", 0, lambda view: number(figure(view.step, "loss"))),
    ("tokens/s", 96, lambda view: number(figure(view.step, "tokens_per_s"))),
    ("age", 0, lambda view: age(time.time() - view.started)),
)
NUMBERS = frozenset({"step", "loss", "tokens/s", "age"})


class RunTable(DataTable[Text]):
    """Rows keyed by run id; the cursor stays on its run while others come and go."""

    BINDINGS: ClassVar[list[BindingType]] = VIM

    def __init__(self) -> None:
        super().__init__(cursor_type="row")
        self._shown: tuple[list[str], list[str]] = ([], [])

    @property
    def selected(self) -> str | None:
        """Return the id of the run under the cursor."""
        ids = self._shown[1]
        return ids[self.cursor_row] if self.is_valid_row_index(self.cursor_row) and ids else None

    def select(self, run_id: str) -> None:
        """Put the cursor on a run."""
        if run_id in self._shown[1]:
            self.move_cursor(row=self._shown[1].index(run_id))

    def show(self, views: list[RunView], width: int) -> None:
        """Fill the table for a terminal this wide; rows are only rebuilt when they change."""
        columns = [column for column in COLUMNS if width >= column[1]]
        shape = ["status", *(label for label, _, _ in columns)], [v.run.run_id for v in views]
        rows = [self._cells(view, columns, width) for view in views]
        if shape != self._shown:
            self._rebuild(shape, rows)
            return
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                if self.get_cell_at((row, column)) != cell:  # type: ignore[arg-type]
                    self.update_cell_at((row, column), cell, update_width=True)  # type: ignore[arg-type]

    def _rebuild(self, shape: tuple[list[str], list[str]], rows: list[list[Text]]) -> None:
        selected, first = self.selected, self.cursor_row == 0
        self.clear(columns=True)
        for label in shape[0]:
            self.add_column(Text(label, justify="right" if label in NUMBERS else "left"), key=label)
        for run_id, cells in zip(shape[1], rows, strict=True):
            self.add_row(*cells, key=run_id)
        self._shown = shape
        if selected in shape[1] and not (first and selected == shape[1][0]):
            self.move_cursor(row=shape[1].index(selected), animate=False)

    def _cells(self, view: RunView, columns: list[Column], width: int) -> list[Text]:
        mark, style = MARKS[view.status]
        colour = self.app.theme_variables.get(style.removeprefix("$"), "")
        cells = [Text(f"{mark} {view.status}", style=colour if colour.startswith("#") else "")]
        for label, _, cell in columns:
            limit = max(12, width - 58) if label == "run" else 16
            cells.append(_text(cell(view), limit, label in NUMBERS))
        return cells


def _text(value: str, limit: int, right: bool) -> Text:
    shown = value if len(value) <= limit else value[: limit - 1] + "…"
    return Text(printable(shown), justify="right" if right else "left", no_wrap=True)


def _steps(view: RunView) -> str:
    done = f"{view.steps_done}"
    if view.planned.isdecimal():
        return f"{done}/{view.planned}"
    share = view.share
    return done if share is None else f"{done} ({share * 100:.0f}%)"
