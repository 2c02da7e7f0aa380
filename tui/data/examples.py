"""The rows of a data set as a table, and one of them as a whole."""

from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ..shared.copying import copy
from ..shared.dialog import Dialog
from ..shared.table import Cell, Column, ListTable, head
from ..shared.words import MUTED, lines, muted, safe

COLUMNS = [Column("", numbers=True), Column("input"), Column("answer")]


@dataclass(frozen=True)
class Rows:
    """Some rows of a data set with their place, input and answer, and how many there are."""

    total: int
    rows: tuple[tuple[str, str, str], ...]


def rows_from(facts: dict[str, Any]) -> Rows:
    """Return what JSON holds."""
    return Rows(facts["total"], tuple((place, x, y) for place, x, y in facts["rows"]))


class ExampleTable(ListTable):
    """Input and answer side by side; enter shows a row as a whole."""

    HELP = "Rows of the data set: r shuffles them, / finds words in them, enter shows all of one."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "screen.shuffle", "Shuffle", id="data.shuffle", tooltip="Other rows first"),
        Binding("y", "copy", "Copy", id="data.copy_row", show=False, tooltip="The row, as a line"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.shown = Rows(0, ())

    def show(self, rows: Rows, width: int) -> None:
        """Fill the table with rows."""
        self.shown = rows
        room = max(20, width - 16)
        longest = max((len(answer) for _, _, answer in rows.rows), default=0)
        right = min(max(6, longest), room * 2 // 5)
        cells = [
            [
                Cell(f"{number}", "$foreground-muted"),
                Cell(head(_flat(text), room - right)),
                Cell(head(_flat(answer), right), "$text-success"),
            ]
            for number, (_, text, answer) in enumerate(rows.rows, start=1)
        ]
        self.fill(COLUMNS, [str(place) for place in range(len(cells))], cells)

    @property
    def selected(self) -> tuple[str, str, str] | None:
        """Return place, input and answer of the row under the cursor."""
        return self.shown.rows[self.cursor_row] if self._is_on_a_row else None

    def action_copy(self) -> None:
        """Copy the row as a line with a tab, which the demonstrations take."""
        row = self.selected
        copy(self, "\t".join(map(_flat, row[1:])) if row else "", "row")


def _flat(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "⏎").replace("\t", " ")


class WholeScreen(Dialog, ModalScreen[None]):
    """A text too long for its place, such as all of a row."""

    DEFAULT_CSS = """
    WholeScreen { align: center middle; background: $background 60%; }
    WholeScreen > Vertical {
        width: 90%; max-width: 120; height: auto; max-height: 90%;
        padding: 1 2; background: $surface; border: round $primary;
    }
    WholeScreen VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Close", id="whole.close"),
        Binding("y", "copy", "Copy", id="whole.copy"),
    ]

    def __init__(self, title: str, parts: list[Content], plain: str) -> None:
        super().__init__()
        self._title, self._parts, self._plain = title, parts, plain

    def compose(self) -> ComposeResult:
        """Lay the text out."""
        with Vertical() as box:
            box.border_title = safe(self._title, 100).plain
            box.border_subtitle = "y copies · esc closes"
            with VerticalScroll():
                yield Static(lines(self._parts))

    def action_copy(self) -> None:
        """Copy what is shown."""
        copy(self, self._plain, "text")


def whole_row(place: str, text: str, answer: str) -> WholeScreen:
    """Return the dialog that shows a row."""
    parts = [
        muted("input"),
        safe(text, 100_000),
        Content(""),
        Content.styled("answer", MUTED),
        safe(answer, 100_000).stylize("$text-success"),
    ]
    return WholeScreen(place, parts, f"{text}\t{answer}")
