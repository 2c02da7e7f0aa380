"""The dialog that names a run, and keeps a word with it."""

from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from yofo_mlx.errors import YofoError
from yofo_mlx.runs.folder import GOING_ON
from yofo_mlx.runs.names import chosen, undated

from ..shared.dialog import Dialog
from .view import RunView


class Naming(NamedTuple):
    """What a run is to be called, and the note that is kept with it."""

    name: str
    note: str


class RenameScreen(Dialog, ModalScreen[Naming | None]):
    """Asks for a name and a note; None if they stay as they are."""

    DEFAULT_CSS = """
    RenameScreen { align: center middle; background: $background 60%; }
    RenameScreen > Vertical {
        width: 70; max-width: 95%; height: auto;
        padding: 1 2; background: $surface; border: round $primary;
    }
    RenameScreen Label { color: $foreground-muted; }
    RenameScreen Input { margin-bottom: 1; }
    RenameScreen Horizontal { height: auto; align-horizontal: right; }
    RenameScreen Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", id="rename.cancel"),
    ]

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self._was = Naming(undated(view.run.run_id), view.made.note)
        self._date = view.run.run_id.removesuffix(self._was.name)
        self._is_fixed = view.status in GOING_ON  # its trainer writes into the folder of that name

    def compose(self) -> ComposeResult:
        """Lay two fields over two buttons."""
        with Vertical():
            yield Label("name: stays until the run has ended" if self._is_fixed else "name")
            yield Input(self._was.name, id="name", compact=True, disabled=self._is_fixed)
            yield Label("note: a line about what it was for, shown beside the name")
            yield Input(self._was.note, id="note", compact=True)
            with Horizontal():
                yield Button("Cancel (esc)", id="no", compact=True)
                yield Button("Keep (enter)", id="yes", variant="primary", compact=True)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        name = self.query_one("#name", Input).value.strip()
        note = self.query_one("#note", Input).value.strip()
        now = Naming(name or self._was.name, note)
        try:
            chosen(now.name)
        except YofoError as error:
            self.notify(f"{error.message}\n{error.hint}", severity="error", markup=False)
            return
        full = Naming(self._date + now.name, now.note)
        self.dismiss(None if now == self._was else full)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._submitted()
        else:
            self.dismiss(None)
