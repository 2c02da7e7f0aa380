"""The field that lies over a value while it is edited."""

from collections.abc import Callable
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Key
from textual.geometry import Offset
from textual.widget import Widget
from textual.widgets import DataTable, Input
from textual.widgets.input import Selection

# How many rows each key goes on, and whether what was typed is kept.
DONE = {"escape": (0, False), "enter": (0, True), "tab": (1, True), "down": (1, True)}
DONE |= {"shift+tab": (-1, True), "up": (-1, True)}


class KeyEditor(Input):
    """One value, in its place in the table; what is typed counts at once."""

    DEFAULT_CSS = """
    KeyEditor { position: absolute; display: none; background: $surface; }
    KeyEditor.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "done(0, False)", "As it was", id="editor.cancel"),
        Binding("enter", "done(0)", "Done", id="editor.done"),
        Binding("tab,down", "done(1)", "Next key", id="editor.next"),
        Binding("shift+tab,up", "done(-1)", "Key before", id="editor.before"),
    ]

    def __init__(self, done: Callable[[str, str, int], None]) -> None:
        """`done`: is told the key, its text, and how many rows to go on, before the next key."""
        super().__init__(compact=True, select_on_focus=False)
        self.key = ""  # that is edited; none while it is closed
        self._before = ""
        self._table: DataTable[Any] | None = None
        self._done = done

    def open(self, table: DataTable[Any], key: str, text: str, width: int) -> None:
        """Lie over the value in the row under the cursor."""
        self.key, self._before, self._table = key, text, table
        self._lie_over()
        self.call_after_refresh(self._lie_over)  # the table may have scrolled
        self.styles.width = width
        self.add_class("-open")
        with self.prevent(Input.Changed):
            self.value = text
        self.selection = Selection(0, len(text))  # typing replaces it
        self.screen.set_focus(self)  # at once: what is typed behind it is its text

    def _lie_over(self) -> None:
        table = self._table
        if table is None or not isinstance(self.parent, Widget):
            return
        cell = table._get_cell_region(Coordinate(table.cursor_row, 1))
        corner = table.content_region.offset - self.parent.content_region.offset
        self.styles.offset = corner + cell.offset - table.scroll_offset + Offset(1, 0)

    async def _on_key(self, event: Key) -> None:
        """Obey, in the order of typing, what ends the editing; what comes after is for others."""
        if self.key and event.key not in DONE:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        if self.key:
            self.action_done(*DONE[event.key])
        else:
            self.app.post_message(Key(event.key, event.character))

    def action_done(self, rows: int, keeps: bool = True) -> None:
        """Close, with what was typed or with what was there before."""
        key, text = self.key, self.value if keeps else self._before
        self.key = ""
        self.remove_class("-open")
        self._done(key, text, rows)
