"""The table of a collection's data sets."""

from dataclasses import dataclass

from yofo_mlx.preview.facts import DataSet
from yofo_mlx.recipe.schema import TaskSource

from ..shared.table import Cell, Column, ListTable, head
from ..shared.words import number
from .measures import NAMES, Measure

WIDE = 118  # width of the terminal from which all columns have room
COUNTS = [Column(name, numbers=True) for name in ("train", "valid", "test")]
TOKENS = [Column(name, numbers=True) for name in ("tokens", "a row", *NAMES)]
ORDERS = ("as listed", "rows", "tokens", "problems")


@dataclass(frozen=True)
class SetRow:
    """A data set, or a source that was not read yet."""

    collection: str  # its key
    index: int  # of the source in it
    source: TaskSource
    data: DataSet | None
    measure: Measure | None = None

    @property
    def name(self) -> str:
        """Return what the row is called."""
        return self.data.name if self.data else self.source.name or self.source.source

    def holds(self, words: str) -> bool:
        """Tell whether name, family, role or place hold these words."""
        family = self.data.family if self.data else ""
        text = f"{self.name} {family} {self.source.role} {self.source.source}".casefold()
        return all(word in text for word in words.casefold().split())


def ordered(rows: list[SetRow], order: str) -> list[SetRow]:
    """Return rows by what they are ordered by, the most first."""
    keys = {
        "rows": lambda row: sum(row.data.counts) if row.data else 0,
        "tokens": lambda row: row.measure.tokens if row.measure else 0,
        "problems": lambda row: (row.data.errors, row.data.warnings) if row.data else (0, 0),
    }
    return sorted(rows, key=keys[order], reverse=True) if order in keys else rows


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
        self.fill(_columns(width), keys, [_cells(row, width) for row in rows])
        if before is not None:
            kept = next((i for i, row in enumerate(rows) if _same(row, before)), 0)
            self.move_cursor(row=kept if same else 0, animate=False)


def _columns(width: int) -> list[Column]:
    first = [Column(""), Column("data set")]
    if width >= WIDE:
        more = [Column("labels", numbers=True), *TOKENS, Column("problems")]
        return [*first, Column("family"), Column("role"), Column("rows", numbers=True), *more]
    return [*first, Column("family"), Column("role"), *COUNTS]


def _cells(row: SetRow, width: int) -> list[Cell]:
    wide = width >= WIDE
    family = row.data.family if row.data else row.source.family or ""
    first = [
        _mark(row.data),
        Cell(head(row.name, width - 113 if wide else 13 if width < 100 else 24)),
        Cell(head(family, 14 if wide or width >= 100 else 10)),
        Cell(row.source.role.replace("_", " ")),
    ]
    if wide:
        return [*first, *_facts(row)]
    counts = row.data.counts if row.data else ()
    shown = [number(n) if width < 100 else f"{n:,}" for n in counts] or ["…"] * 3
    return [*first, *(Cell("–" if n == "0" else n) for n in shown)]


def _facts(row: SetRow) -> list[Cell]:
    if row.data is None:
        return [Cell("…"), *[Cell("…")] * (len(TOKENS) + 1), Cell("")]
    labels = f"{row.data.label_count:,}" if row.data.label_count else "–"
    measure = row.measure
    tokens = ["–"] * len(TOKENS)
    if measure is not None:
        fits = ["all" if fit == measure.rows else f"{fit:,}" for fit in measure.fits]
        tokens = [measure.total, f"{measure.median:,}", *fits]
    rows = sum(row.data.counts)
    return [
        Cell(f"{rows:,}" if rows else "–"),
        Cell(labels),
        *map(Cell, tokens),
        _problems(row.data),
    ]


def _problems(data: DataSet) -> Cell:
    if not (data.errors or data.warnings):
        return Cell("–")
    parts = [f"{data.errors:,} ✗"] * bool(data.errors) + [f"{data.warnings:,} !"] * bool(
        data.warnings
    )
    return Cell(" ".join(parts), "$text-error" if data.errors else "$text-warning")


def _mark(data: DataSet | None) -> Cell:
    if data is None:
        return Cell("○")
    if data.errors:
        return Cell("✗", "$text-error")
    return Cell("!", "$text-warning") if data.warnings else Cell("✓", "$text-success")


def _same(one: SetRow, other: SetRow) -> bool:
    names = [row.data.name if row.data else None for row in (one, other)]
    return one.index == other.index and (names[0] == names[1] or None in names)
