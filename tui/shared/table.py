"""A table of rows: columns as wide as what is in them, colours of the theme that is on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
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

    def __str__(self) -> str:
        return printable(self.text)


Cells = list[Cell]


class ListTable(DataTable[Cell]):
    """Rows by key; the cursor stays on its row while others come and go.

    However many there are: only rows in sight are drawn, and only changed ones are measured.
    """

    BINDINGS: ClassVar[list[BindingType]] = VIM

    def __init__(self) -> None:
        super().__init__(cursor_type="row")
        self._columns: list[Column] = []
        self._keys: list[str] = []
        self._cells: list[Cells] = []
        self._measured: list[list[int]] = []  # how wide each cell is
        self._wide: list[int] = []  # and each column

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._follow_theme())

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

    def fill(self, columns: list[Column], keys: list[str], cells: list[Cells]) -> None:
        """Show these rows; one that is gone leaves the cursor where it is."""
        if (columns, keys, cells) == (self._columns, self._keys, self._cells):
            return
        shape = self._columns, self._keys, self._wide
        chosen, at = self.selected_key, self.cursor_row
        changed = self._measure(columns, keys, cells)
        self._columns, self._keys, self._cells = columns, keys, cells
        if (columns, keys, self._wide) == shape:
            self._put(changed)
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

    def _measure(self, columns: list[Column], keys: list[str], cells: list[Cells]) -> list[int]:
        """Measure rows that are not as before, and the columns; return the places of the rows."""
        before = dict(zip(self._keys, zip(self._cells, self._measured, strict=True), strict=True))
        measured, changed = [], []
        for place, (key, row) in enumerate(zip(keys, cells, strict=True)):
            known, widths = before.get(key, (None, []))
            if known is not row and known != row:
                widths = [cell_len(str(cell)) for cell in row]
                changed.append(place)
            measured.append(widths)
        headings = [max(1, cell_len(column.heading)) for column in columns]  # 0 cannot be drawn
        self._measured = measured
        is_same = (columns, keys) == (self._columns, self._keys)
        least = self._wide if is_same else headings  # or columns would jump as figures change
        self._wide = [max(under) for under in zip(least, *measured, strict=True)]
        return changed

    def _put(self, places: list[int]) -> None:
        """Put rows in the place of those before, of the same widths."""
        columns = self.ordered_columns
        for place in places:
            row = self._data[self.ordered_rows[place].key]
            row.update(zip([column.key for column in columns], self._cells[place], strict=True))
        self._draw_anew()

    def _draw_anew(self) -> None:
        self._update_count += 1
        self.refresh()

    def _follow_theme(self) -> None:
        self._clear_caches()
        self._draw_anew()

    def _rebuild(self) -> None:
        """Lay all out anew."""
        at = max(0, self.cursor_row)
        self.clear(columns=True)
        for column, width in zip(self._columns, self._wide, strict=True):
            heading = Text(column.heading, justify="right" if column.numbers else "left")
            self.add_column(heading, width=width)
        for key, cells in zip(self._keys, self._cells, strict=True):
            self.add_row(*cells, key=key)
        self.move_cursor(row=at, animate=False)

    def _update_column_widths(self, updated_cells: set[Any]) -> None:
        """Leave the widths as they were given: Textual would look at every cell."""

    def _update_dimensions(self, new_rows: Iterable[Any]) -> None:
        """Add the rows up; Textual would draw every cell to measure it."""
        super()._update_dimensions(())

    def _render_cell(
        self,
        row_index: int,
        column_index: int,
        base_style: RichStyle,
        width: int,
        cursor: bool = False,
        hover: bool = False,
    ) -> list[list[Segment]]:
        """Draw a cell once, whatever else changes; Textual would whenever anything does."""
        if row_index < 0 or column_index < 0:
            return super()._render_cell(row_index, column_index, base_style, width, cursor, hover)
        cell = self._cells[row_index][column_index]
        state = (cursor, hover, self._show_hover_cursor, self._pseudo_class_state)
        key: Any = (cell, row_index, column_index, base_style, width, *state)
        if key not in self._cell_render_cache:
            styles = self._get_styles_to_render_cell(
                False, False, False, hover, cursor, self.show_cursor, self._show_hover_cursor,
                self.cursor_foreground_priority == "css", self.cursor_background_priority == "css",
            )  # fmt: skip
            place = RichStyle.from_meta({"row": row_index, "column": column_index})
            style = base_style + place + styles[0]
            own = self._style(cell.style) if cell.style else RichStyle.null()
            text = self._padded(cell, column_index, width - 2 * self.cell_padding)
            margin = Segment(" " * self.cell_padding, style + styles[1])
            self._cell_render_cache[key] = [
                [margin, Segment(text, style + own + styles[1]), margin]
            ]
        return self._cell_render_cache[key]

    def _padded(self, cell: Cell, column: int, width: int) -> str:
        shown = str(cell)
        spare = width - cell_len(shown)
        if spare < 0:
            return set_cell_size(shown, width)
        return " " * spare + shown if self._columns[column].numbers else shown + " " * spare

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
