"""The dialog that chooses some of what there is."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import SelectionList, Static
from textual.widgets.selection_list import Selection

from .dialog import Dialog
from .words import muted, safe


class PickingScreen(Dialog, ModalScreen[list[str]]):
    """Gives back what is chosen, in the order it stands in."""

    DEFAULT_CSS = """
    PickingScreen { align: center middle; background: $background 60%; }
    PickingScreen > Vertical {
        width: 60; max-width: 95%; height: auto; max-height: 95%;
        padding: 0 2; background: $surface; border: round $primary;
    }
    PickingScreen SelectionList, PickingScreen SelectionList:focus {
        height: auto; max-height: 14; border: none; padding: 0;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "done", "Done", id="picking.done"),
    ]

    def __init__(self, title: str, names: Sequence[str], chosen: Collection[str], words: str):
        super().__init__()
        self._title, self._names, self._chosen, self._words = title, names, chosen, words

    def compose(self) -> ComposeResult:
        """Lay the names over a word on them."""
        with Vertical() as box:
            box.border_title = self._title
            yield SelectionList(
                *(Selection(safe(one, 200), one, one in self._chosen) for one in self._names)
            )
            yield Static(muted(f"space takes one or leaves it, escape is done. {self._words}"))

    def action_done(self) -> None:
        """Give the chosen ones back."""
        chosen = self.query_one(SelectionList).selected
        self.dismiss([one for one in self._names if one in chosen])
