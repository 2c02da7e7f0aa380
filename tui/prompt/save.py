"""The dialog that saves work: a file for each thing that is in no file yet."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from yofo_mlx.errors import YofoError
from yofo_mlx.system import files
from yofo_mlx.system.text import reason

from ..shared.dialog import Dialog
from ..shared.words import safe
from .pasted import Unsaved


class SaveScreen(Dialog, ModalScreen[list[str] | None]):
    """Asks for the files' names; gives back in words what was saved."""

    CSS = """
    SaveScreen { align: center middle; background: $background 60%; }
    SaveScreen > Vertical {
        width: 72; max-width: 95%; height: auto;
        padding: 1 2; background: $surface; border: round $primary;
    }
    SaveScreen Label { color: $text-muted; }
    SaveScreen Input { margin-bottom: 1; }
    SaveScreen #problem { height: auto; color: $text-error; }
    SaveScreen Horizontal { height: auto; align-horizontal: right; }
    SaveScreen Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="save.cancel"),
        Binding("enter,ctrl+s", "save", "Save", id="save.save", priority=True),
    ]

    def __init__(self, works: Sequence[Unsaved]) -> None:
        super().__init__()
        self._works = list(works)
        self._saved: dict[Unsaved, str] = {}
        self._may_replace: set[Path] = set()

    def compose(self) -> ComposeResult:
        """Lay out a name for each work."""
        with Vertical() as box:
            box.border_title = "Save"
            for at, work in enumerate(self._works):
                yield Label(safe(f"{work.what} (a name that ends in {Path(work.name).suffix})"))
                yield Input(work.name, placeholder="not saved", compact=True, id=f"name-{at}")
            yield Static(id="problem")
            with Horizontal():
                yield Button("Cancel (esc)", id="cancel", compact=True)
                yield Button("Save (enter)", id="save", variant="primary", compact=True)

    @on(Button.Pressed, "#save")
    def action_save(self) -> None:
        """Write every file that has a name; what cannot be written is told, and stays."""
        if isinstance(self.focused, Button) and self.focused.id == "cancel":
            return self.action_cancel()
        for at, work in enumerate(self._works):
            name = self.query_one(f"#name-{at}", Input).value.strip()
            if not name or work in self._saved:
                continue
            try:
                self._write(work, name)
            except YofoError as error:
                self.query_one("#problem", Static).update(safe(f"{error.message}: {error.hint}"))
                self.query_one(f"#name-{at}", Input).focus()
                return None
            work.saved()
            self._saved[work] = f"{work.what}: {name}"
        self.dismiss(list(self._saved.values()))
        return None

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Close; what was written stays written."""
        self.dismiss(list(self._saved.values()))

    def _write(self, work: Unsaved, name: str) -> None:
        form = Path(work.name).suffix
        try:
            path = Path(name).expanduser().absolute()
            if path.suffix != form:
                raise YofoError(f"{name} does not end in {form}", f"such as {work.name}")
            if os.path.lexists(path) and path not in self._may_replace:
                self._may_replace.add(path)
                raise YofoError(f"{name} is there already", "enter again replaces it")
            files.write_text(path, work.text)
        except UnicodeError as error:
            raise YofoError("half of a character cannot be saved", "take it out") from error
        except (OSError, ValueError, RuntimeError) as error:
            words = getattr(error, "strerror", None) or reason(error)
            raise YofoError(f"{name}: {words}", "give another name") from error
