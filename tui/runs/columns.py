"""The dialog that chooses the columns of the list of runs."""

from collections.abc import Collection
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import SelectionList, Static
from textual.widgets.selection_list import Selection

from ..shared.dialog import Dialog
from ..shared.words import muted
from .table import FIELDS


class ColumnsScreen(Dialog, ModalScreen[list[str]]):
    """Gives back the headings that are to be shown."""

    DEFAULT_CSS = """
    ColumnsScreen { align: center middle; background: $background 60%; }
    ColumnsScreen > Vertical {
        width: 50; max-width: 95%; height: auto; max-height: 95%;
        padding: 0 2; background: $surface; border: round $primary;
    }
    ColumnsScreen SelectionList { height: auto; max-height: 12; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,C", "done", "Done", id="columns.done"),
    ]

    def __init__(self, chosen: Collection[str]) -> None:
        super().__init__()
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """Lay the headings over a word on them."""
        with Vertical() as box:
            box.border_title = "Columns of the list"
            names = [one.heading for one in FIELDS]
            yield SelectionList(*(Selection(one, one, one in self._chosen) for one in names))
            words = "space shows or hides one, escape is done. Where there is no room for all, "
            yield Static(muted(f"{words}those that rank runs stay."))

    def action_done(self) -> None:
        """Give the chosen ones back, in the order of the list."""
        chosen = self.query_one(SelectionList).selected
        self.dismiss([one.heading for one in FIELDS if one.heading in chosen])
