"""The table of a collection's data sets."""

from dataclasses import dataclass

from yofo_mlx.recipe.schema import TaskSource

from ..shared.table import Cell, Column, ListTable, head
from ..shared.words import number
from .sets import DataSet

COUNTS = ("train", "valid", "test")
COLUMNS = [Column(""), Column("data set"), Column("family"), Column("role")]
COLUMNS += [Column(name, numbers=True) for name in COUNTS]


@dataclass(frozen=True)
class SetRow:
    """A data set, or a source that was not read yet."""

    collection: str  # its key
    index: int  # of the source in it
    source: TaskSource
    data: DataSet | None

    @property
    def name(self) -> str:
        """Return what the row is called."""
        return self.data.name if self.data else self.source.name or self.source.source


class DataTableOfSets(ListTable):
    """One row a data set; the cursor stays where it is while more are read."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[SetRow] = []

    @property
    def selected(self) -> SetRow | None:
        """Return the row under the cursor."""
        return self._rows[self.cursor_row] if self._is_on_a_row else None

    def show(self, rows: list[SetRow], width: int) -> None:
        """Fill the table for a terminal this wide."""
        before = self.selected
        same = before is not None and bool(rows) and before.collection == rows[0].collection
        self._rows = rows
        keys = [f"{row.collection} {row.index} {place}" for place, row in enumerate(rows)]
        self.fill(COLUMNS, keys, [_cells(row, width) for row in rows])
        if before is not None:
            kept = next((i for i, row in enumerate(rows) if _same(row, before)), 0)
            self.move_cursor(row=kept if same else 0, animate=False)


def _cells(row: SetRow, width: int) -> list[Cell]:
    wide = width >= 100
    family = row.data.family if row.data else row.source.family or ""
    counts = row.data.counts if row.data else ()
    numbers = [f"{n:,}" if wide else number(n) for n in counts] or ["…"] * 3
    return [
        _mark(row.data),
        Cell(head(row.name, width - 84 if wide else 13)),
        Cell(head(family, 14 if wide else 10)),
        Cell(row.source.role.replace("_", " ")),
        *(Cell("–" if n == "0" else n) for n in numbers),
    ]


def _mark(data: DataSet | None) -> Cell:
    if data is None:
        return Cell("○")
    if data.errors:
        return Cell("✗", "$text-error")
    return Cell("!", "$text-warning") if data.warnings else Cell("✓", "$text-success")


def _same(one: SetRow, other: SetRow) -> bool:
    names = [row.data.name if row.data else None for row in (one, other)]
    return one.index == other.index and (names[0] == names[1] or None in names)
