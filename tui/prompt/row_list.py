"""Demonstrations as a list, and the keys that change it; each change can be undone."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input

from yofo_mlx.tasks.task import Example

from ..shared.copying import copy
from .row_editor import RowScreen
from .row_table import RowTable
from .rows import ORDERS, Rows


class RowList(Vertical):
    """The table of the rows, and a line that filters them."""

    DEFAULT_CSS = """
    RowList { height: 1fr; }
    RowList Input { height: 1; margin: 0 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "toggle_row", "On/off", id="rows.toggle"),
        Binding("e,enter", "edit", "Edit", id="rows.edit"),
        Binding("i", "insert", "Write a row", id="rows.insert", show=False),
        Binding("D,delete", "drop", "Drop", id="rows.drop"),
        Binding("u", "undo", "Undo", id="rows.undo"),
        Binding("x", "drop_suspicious", "Drop suspicious", id="rows.drop_suspicious"),
        Binding("n", "suspicious(1)", "Next suspicious", id="rows.next", show=False),
        Binding("N", "suspicious(-1)", "Suspicious before", id="rows.before", show=False),
        Binding("J,shift+down", "move(1)", "Move down", id="rows.move_down", show=False),
        Binding("K,shift+up", "move(-1)", "Move up", id="rows.move_up", show=False),
        Binding("asterisk", "toggle_all", "All seen on/off", id="rows.toggle_all", show=False),
        Binding("slash", "filter", "Filter", id="rows.filter", show=False),
        Binding("o", "order", "Order", id="rows.order", show=False),
        Binding("y", "copy", "Copy the row", id="rows.copy", show=False),
    ]

    class Changed(Message):
        """There are other rows, or other ones are on."""

    class Seen(Message):
        """Other rows are seen, or in another order."""

    def __init__(self, rows: Rows, empty: Content) -> None:
        super().__init__()
        self.rows, self._empty = rows, empty

    def compose(self) -> ComposeResult:
        """Lay out the table and the line below it."""
        yield RowTable(self.rows, self._empty)
        filter = Input(placeholder="only rows with these words", compact=True, id="row-filter")
        filter.display = False
        yield filter

    @property
    def table(self) -> RowTable:
        """Return the table."""
        return self.query_one(RowTable)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out keys that would do nothing."""
        if action in ("drop_suspicious", "suspicious"):
            return bool(self.rows.suspicious)
        if action == "undo":
            return self.rows.can_undo
        return bool(self.rows.all) or action == "insert"

    def update(self) -> None:
        """Show the rows as they are now."""
        self.table.update()
        self.refresh_bindings()

    def changed(self) -> None:
        """Show the rows as they are now, and tell of it."""
        self.update()
        self.post_message(self.Changed())

    @on(RowTable.Ticked)
    def action_toggle_row(self) -> None:
        """Put a row on or off."""
        if (place := self.table.place) is not None:
            self.rows.toggle([place])
            self.changed()

    def action_toggle_all(self) -> None:
        """Put all rows that are seen off, or on if any of them is off."""
        self.rows.toggle(self.rows.places)
        self.changed()

    @on(RowTable.Opened)
    def action_edit(self) -> None:
        """Change a row."""
        if (place := self.table.place) is None:
            return

        def keep(example: Example | None) -> None:
            if example is not None:
                self.rows.put(place, example)
                self.changed()

        title = f"Demonstration {place + 1}"
        self.app.push_screen(RowScreen(title, self.rows.all[place].example), keep)

    def action_insert(self) -> None:
        """Write a row below the cursor."""
        place = self.table.place
        below = len(self.rows.all) if place is None else place + 1

        def keep(example: Example | None) -> None:
            if example is not None:
                self.rows.insert(below, example)
                self.changed()
                self.table.go_to(below)

        self.app.push_screen(RowScreen("A new demonstration", Example("", "")), keep)

    def action_drop(self) -> None:
        """Take a row out."""
        if (place := self.table.place) is not None:
            self.rows.drop([place])
            self.changed()

    def action_drop_suspicious(self) -> None:
        """Take all rows out that the others contradict."""
        self.rows.drop(self.rows.suspicious)
        self.changed()

    def action_suspicious(self, by: int) -> None:
        """Go to the next row that the others contradict, or to the one before."""
        seen = self.rows.places
        found = sorted(seen.index(place) for place in self.rows.suspicious if place in seen)
        if not found:
            return
        at = self.table.cursor
        beyond = [row for row in found if (row > at if by > 0 else row < at)]
        self.table.cursor = (beyond or found)[0 if by > 0 else -1]

    def action_move(self, by: int) -> None:
        """Move a row among the others."""
        place = self.table.place
        if place is None or not self.rows.is_as_given:
            words = "Rows move where all are seen as given: / and o change that."
            self.app.notify(words, severity="warning", markup=False)
        elif self.rows.move(place, by):
            self.changed()
            self.table.go_to(place + by)

    def action_undo(self) -> None:
        """Take the last change back."""
        if self.rows.undo():
            self.changed()

    def action_copy(self) -> None:
        """Copy a row as a line with a tab."""
        if (place := self.table.place) is not None:
            example = self.rows.all[place].example
            copy(self, f"{example.input}\t{example.output}", "demonstration")

    def action_order(self) -> None:
        """See the rows in the next order."""
        following = ORDERS[(ORDERS.index(self.rows.order) + 1) % len(ORDERS)]
        self._see(self.rows.filter, following)

    on_row_table_headed = action_order

    def action_filter(self) -> None:
        """Write words that rows must hold."""
        line = self.query_one(Input)
        line.display = True
        line.focus()

    def close_filter(self) -> bool:
        """See all rows again; tell whether there was a filter."""
        line = self.query_one(Input)
        if not line.display:
            return False
        line.display, line.value = False, ""
        self.table.focus()
        return True

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        self._see(event.value, self.rows.order)

    @on(Input.Submitted)
    def _filtered(self, event: Input.Submitted) -> None:
        event.stop()
        event.input.display = bool(event.value)
        self.table.focus()

    def _see(self, filter: str, order: str) -> None:
        place = self.table.place
        self.rows.see(filter, next(one for one in ORDERS if one == order))
        self.table.update()
        if place is not None:
            self.table.go_to(place)
        self.post_message(self.Seen())
