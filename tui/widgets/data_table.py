"""The table of a collection's data sets."""

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import DataTable

from tui.datasets import DataSet
from tui.widgets.keys import VIM
from tui.words import number
from yofo_mlx.recipe import TaskSource
from yofo_mlx.text import shorten

COUNTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Row:
    """A data set, or a source that was not read yet."""

    source: TaskSource
    data: DataSet | None


class DataTableOfSets(DataTable[Text]):
    """One row a data set; the cursor stays where it is while more are read."""

    BINDINGS: ClassVar[list[BindingType]] = VIM

    def __init__(self) -> None:
        super().__init__(cursor_type="row")
        self._rows: list[Row] = []
        self._width = 0

    @property
    def selected(self) -> Row | None:
        """Return the row under the cursor."""
        return self._rows[self.cursor_row] if self.cursor_row < len(self._rows) else None

    def show(self, rows: list[Row], width: int) -> None:
        """Fill the table for a terminal this wide."""
        if (rows, width) == (self._rows, self._width):
            return
        before = self.selected
        self.clear(columns=True)
        for label in ("", "data set", "family", "role", *COUNTS):
            self.add_column(Text(label, justify="right" if label in COUNTS else "left"))
        for row in rows:
            self.add_row(*self._cells(row, width))
        self._rows, self._width = rows, width
        kept = next((i for i, row in enumerate(rows) if before and _same(row, before)), 0)
        self.move_cursor(row=kept, animate=False)

    def _cells(self, row: Row, width: int) -> list[Text]:
        name = row.data.name if row.data else row.source.name or row.source.source
        wide = width >= 100
        family = row.data.family if row.data else row.source.family or ""
        counts = row.data.counts if row.data else ()
        numbers = [f"{n:,}" if wide else number(n) for n in counts] or ["…"] * 3
        return [
            self._mark(row.data),
            Text(shorten(name, width - 80 if wide else 13)),
            Text(shorten(family, 14 if wide else 10)),
            Text(row.source.role.replace("_", " ")),
            *(Text("–" if n == "0" else n, justify="right") for n in numbers),
        ]

    def _mark(self, data: DataSet | None) -> Text:
        if data is None:
            return Text("○")
        if data.errors:
            return Text("✗", style=self._colour("text-error"))
        if data.warnings:
            return Text("!", style=self._colour("text-warning"))
        return Text("✓", style=self._colour("text-success"))

    def _colour(self, name: str) -> str:
        value = self.app.theme_variables.get(name, "")
        return value if value.startswith("#") else ""


def _same(one: Row, other: Row) -> bool:
    names = [row.data.name if row.data else None for row in (one, other)]
    return one.source == other.source and (names[0] == names[1] or None in names)
