"""A table of rows: columns as wide as what is in them, colours of the theme that is on."""

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style as RichStyle
from rich.text import Text
from textual.binding import BindingType
from textual.coordinate import Coordinate
from textual.events import Click
from textual.style import Style
from textual.widgets import DataTable

from yofo_mlx.system.text import printable

from .keys import VIM


@dataclass(frozen=True)
class Column:
    """A heading, and whether what is under it are numbers."""

    heading: str
    numbers: bool = False


@dataclass(frozen=True)
class Cell:
    """Text on one line, with a style named as in CSS, such as `$text-error`."""

    text: str
    style: str = ""


class ListTable(DataTable[Text]):
    """Rows by key; the cursor stays on its row while others come and go."""

    BINDINGS: ClassVar[list[BindingType]] = VIM

    def __init__(self) -> None:
        super().__init__(cursor_type="row")
        self._columns: list[Column] = []
        self._keys: list[str] = []
        self._cells: list[list[Cell]] = []

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._rebuild())

    @property
    def selected_key(self) -> str | None:
        """Return the key of the row under the cursor."""
        return self._keys[self.cursor_row] if self._is_on_a_row else None

    @property
    def _is_on_a_row(self) -> bool:
        return 0 <= self.cursor_row < len(self._keys)  # it is -1 after "up" where there is none

    def select(self, key: str) -> None:
        """Put the cursor on a row."""
        if key in self._keys:
            self.move_cursor(row=self._keys.index(key), animate=False)

    def fill(self, columns: list[Column], keys: list[str], cells: list[list[Cell]]) -> None:
        """Show these rows; one that is gone leaves the cursor where it is."""
        if (columns, keys, cells) == (self._columns, self._keys, self._cells):
            return
        shape = self._columns, self._keys, self._widths()
        chosen, at = self.selected_key, self.cursor_row
        self._columns, self._keys, before, self._cells = columns, keys, self._cells, cells
        if (columns, keys, self._widths()) == shape:
            self._update(before)
            return
        self._rebuild()
        if chosen in keys:
            at = keys.index(chosen)
        self.move_cursor(row=max(0, min(at, len(keys) - 1)), animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out what does nothing where rows are selected as a whole."""
        return action not in ("cursor_left", "cursor_right", "page_left", "page_right")

    def on_click(self, event: Click) -> None:
        """Select by a click; open by a double click, as enter does."""
        meta = event.style.meta
        if event.chain == 1 and "row" in meta and "column" in meta:
            place = Coordinate(meta["row"], meta["column"])
            if place == self.cursor_coordinate:
                event.prevent_default()

    def _widths(self) -> list[int]:
        texts = [[cell.text for cell in column] for column in zip(*self._cells, strict=True)]
        under = texts or [[] for _ in self._columns]
        return [
            max(1, *map(cell_len, [column.heading, *map(printable, below)]))  # 0 cannot be drawn
            for column, below in zip(self._columns, under, strict=True)
        ]

    def _update(self, before: list[list[Cell]]) -> None:
        for row, (old, new) in enumerate(zip(before, self._cells, strict=True)):
            for place, cell in enumerate(new):
                if cell != old[place]:
                    self.update_cell_at(Coordinate(row, place), self._text(place, cell))

    def _rebuild(self) -> None:
        """Lay all out anew; widths that are given need no second look at the cells."""
        at = max(0, self.cursor_row)
        self.clear(columns=True)
        for column, width in zip(self._columns, self._widths(), strict=True):
            heading = Text(column.heading, justify="right" if column.numbers else "left")
            self.add_column(heading, width=width)
        for key, cells in zip(self._keys, self._cells, strict=True):
            self.add_row(*(self._text(place, cell) for place, cell in enumerate(cells)), key=key)
        self.move_cursor(row=at, animate=False)

    def _text(self, place: int, cell: Cell) -> Text:
        justify = "right" if self._columns[place].numbers else "left"
        style = self._style(cell.style) if cell.style else ""
        return Text(printable(cell.text), style=style, justify=justify, no_wrap=True)  # type: ignore[arg-type]

    def _style(self, name: str) -> RichStyle:
        """Return the colour that the theme has for a name."""
        style = Style.parse(f"{name} on $background", self.app.theme_variables)
        return RichStyle(color=style.rich_style.color)


def tail(text: str, width: int) -> str:
    """Return the end of a text, where names that are alike differ, on so many cells."""
    shown = printable(text)
    if cell_len(shown) <= width:
        return shown
    while cell_len(shown) >= width and shown:
        shown = shown[1:]
    return f"…{shown}"


def head(text: str, width: int) -> str:
    """Return the start of a text on so many cells."""
    shown = printable(text)
    return shown if cell_len(shown) <= width else set_cell_size(shown, width - 1) + "…"
