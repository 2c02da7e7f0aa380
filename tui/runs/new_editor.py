"""The field that lies over a value while it is edited."""

from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.geometry import Offset
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DataTable, Input
from textual.widgets.input import Selection


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

    class Done(Message):
        """Editing ended; go so many rows on."""

        def __init__(self, key: str, text: str, rows: int) -> None:
            super().__init__()
            self.key, self.text, self.rows = key, text, rows

    def __init__(self) -> None:
        super().__init__(compact=True, select_on_focus=False)
        self.key = ""  # that is edited; none while it is closed
        self._before = ""

    def open(self, table: DataTable[Any], key: str, text: str, width: int) -> None:
        """Lie over the value in the row under the cursor."""
        self.key, self._before = key, text
        assert isinstance(self.parent, Widget)
        cell = table._get_cell_region(Coordinate(table.cursor_row, 1))
        corner = table.content_region.offset - self.parent.content_region.offset
        self.styles.offset = corner + cell.offset - table.scroll_offset + Offset(1, 0)
        self.styles.width = width
        self.add_class("-open")
        with self.prevent(Input.Changed):
            self.value = text
        self.selection = Selection(0, len(text))  # typing replaces it
        self.focus()

    def action_done(self, rows: int, keeps: bool = True) -> None:
        """Close, with what was typed or with what was there before."""
        key, text = self.key, self.value if keeps else self._before
        self.key = ""
        self.remove_class("-open")
        self.post_message(self.Done(key, text, rows))
