"""The table of a collection's data sets."""

from dataclasses import dataclass

from yofo_mlx.preview.facts import DataSet
from yofo_mlx.recipe.schema import TaskSource

from ..shared.recipes import near
from ..shared.table import Cell, Column, ListTable, head
from .measures import NAMES, Measure
from .paths import file_size

WIDE = 136  # width of the terminal from which all columns have room
MIDDLING = 100  # and from which the family has
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

    HELP = """The data sets of what is chosen on the left: their rows, and in tokens of a model (`M`
picks another) how long they are and how many rows fit a context of 16k. `~` marks what was counted
on some of the rows. `enter` goes into one, `n` trains on it, `p` shows it to a model in Prompt."""

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
    family, role, problems = Column("family"), Column("role"), Column("problems")
    rows, labels, size, tokens, fits = (
        Column(name, numbers=True) for name in ("rows", "labels", "size", "tokens", NAMES[1])
    )
    if width >= WIDE:
        return [*first, family, role, rows, labels, size, *TOKENS, problems]
    return [*first, *[family] * (width >= MIDDLING), rows, size, tokens, fits, problems]


def _cells(row: SetRow, width: int) -> list[Cell]:
    wide, data = width >= WIDE, row.data
    name = width - 122 if wide else 13 if width < 118 else 24
    cells = [_mark(data), Cell(head(near(row.name), name))]
    if width >= MIDDLING:
        cells.append(Cell(head(data.family if data else row.source.family or "", 14)))
    if wide:
        cells.append(Cell(row.source.role.replace("_", " ")))
    if data is None:
        return [*cells, *[Cell("…")] * (len(_columns(width)) - len(cells) - 1), Cell("")]
    rows = sum(data.counts)
    facts = [f"{rows:,}"] + [f"{data.label_count:,}" if data.label_count else "–"] * wide
    facts += [file_size(data.nbytes) if data.nbytes else "–", *_tokens(row.measure, wide)]
    return [*cells, *(Cell("–" if fact == "0" else fact) for fact in facts), _problems(data)]


def _tokens(measure: Measure | None, is_wide: bool) -> list[str]:
    """Return tokens in all and of a row, and how many rows fit; of a narrow table the main ones."""
    if measure is None:
        return ["–"] * (len(TOKENS) if is_wide else 2)
    fits = ["all" if fit == measure.rows else f"{fit:,}" for fit in measure.fits]
    return [measure.total, f"{measure.median:,}", *fits] if is_wide else [measure.total, fits[1]]


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
