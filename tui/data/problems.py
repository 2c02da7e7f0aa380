"""What is wrong with a data set, a row each, and what to do about the one under the cursor."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from yofo_mlx.preview.facts import DataSet, Finding

from ..shared.copying import copy
from ..shared.recipes import near
from ..shared.table import Cell, Column, ListTable, head, tail
from ..shared.words import lines, muted, safe

LONGEST_PLACE = 36
COLUMNS = [Column(""), Column("where"), Column("what is wrong")]


class ProblemTable(ListTable):
    """Places aligned, errors first."""

    HELP = "e opens the place in $EDITOR, x leaves bad rows out, enter shows the whole problem."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "screen.edit", "Edit", id="data.edit", tooltip="Open the line in $EDITOR"),
        Binding("x", "screen.fix", "Drop bad rows", id="data.fix", tooltip='bad_rows = "drop"'),
        Binding("y", "copy", "Copy", id="data.copy_place", show=False, tooltip="Place and problem"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: list[Finding] = []

    @property
    def selected(self) -> Finding | None:
        """Return the problem under the cursor."""
        return self._found[self.cursor_row] if self._is_on_a_row else None

    def show(self, found: list[Finding], width: int) -> None:
        """Fill the table."""
        self._found = found
        places = [tail(_short(one, one.place), LONGEST_PLACE) for one in found]
        room = max(20, width - max(map(len, places), default=5) - 12)
        cells = [
            [
                Cell("✗", "$text-error") if one.is_error else Cell("!", "$text-warning"),
                Cell(place, "$foreground-muted"),
                Cell(head(_short(one, one.message).replace("\n", "⏎"), room)),
            ]
            for one, place in zip(found, places, strict=True)
        ]
        self.fill(COLUMNS, [str(place) for place in range(len(cells))], cells)

    def action_copy(self) -> None:
        """Copy place and problem."""
        one = self.selected
        copy(self, f"{one.place}: {one.message}" if one else "", "problem")


class Problems(Vertical):
    """The table of problems, and what to do about the selected one below it."""

    DEFAULT_CSS = """
    Problems { height: auto; }
    Problems ProblemTable {
        height: auto; background: $background;
        scrollbar-size-horizontal: 0; scrollbar-size-vertical: 1;
    }
    Problems Static { height: auto; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._more, self._whole = 0, ""

    def compose(self) -> ComposeResult:
        """Lay the table over its words."""
        yield ProblemTable()
        yield Static()

    def show(self, data: DataSet, command: str, width: int) -> None:
        """Show a data set's problems; `command` lists all of them."""
        self._more = data.errors + data.warnings - len(data.problems)
        self._whole = command
        self.query_one(ProblemTable).show(data.problems, width)
        self._tell()

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self._tell()

    def _tell(self) -> None:
        one = self.query_one(ProblemTable).selected
        said = [safe(_short(one, one.hint), 300)] if one and one.hint else []
        if self._more > 0:
            words = f"and {self._more:,} more: `{self._whole}` lists all"
            said.append(muted(safe(words, 500).plain))
        below = self.query_one(Static)
        below.update(lines(said))
        below.display = bool(said)


def _short(one: Finding, words: str) -> str:
    """Leave out of words the folder of the file they are about, and that we are in."""
    folder = one.path.rpartition("/")[0]
    return near(words.replace(f"{folder}/", "") if folder else words)
