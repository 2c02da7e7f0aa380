"""The dialog that queues runs: recipes, changes, and keys with several values each."""

import shlex
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Label, SelectionList, Static
from textual.widgets.selection_list import Selection

from yofo_mlx.errors import YofoError
from yofo_mlx.queueing.grid import requests
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import reason

from ..shared.dialog import Dialog
from ..shared.recipes import find_recipes, place
from ..shared.recovery import Recovering
from ..shared.words import muted, one_line, safe

CHOOSE = "choose recipes with space"


class QueueAddScreen(Dialog, Recovering, ModalScreen[list[str] | None]):
    """Gives back the words of `yofo queue add`."""

    CSS = """
    QueueAddScreen { align: center middle; background: $background 60%; }
    QueueAddScreen > Vertical {
        width: 76; max-width: 95%; height: auto; max-height: 95%;
        padding: 0 2; background: $surface; border: round $primary;
    }
    QueueAddScreen SelectionList, QueueAddScreen SelectionList:focus {
        height: auto; max-height: 10; border: none; padding: 0;
    }
    QueueAddScreen Label { color: $foreground-muted; margin-top: 1; }
    QueueAddScreen Checkbox { margin-top: 1; }
    QueueAddScreen #said { height: auto; max-height: 4; margin-top: 1; }
    QueueAddScreen Horizontal { height: auto; align-horizontal: right; margin: 1 0; }
    QueueAddScreen Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="queue_add.cancel"),
        Binding("ctrl+s", "add", "Queue", id="queue_add.add", priority=True),
    ]

    class Checked(Message):
        """The recipes were validated, their data not yet."""

        def __init__(self, count: int, error: YofoError | None = None) -> None:
            super().__init__()
            self.count, self.error = count, error

    def __init__(self) -> None:
        super().__init__()
        self._recipes = find_recipes()
        self._is_sound = self._is_wanted = False

    def compose(self) -> ComposeResult:
        """Lay out the recipes over what is changed in them."""
        with Vertical() as box:
            box.border_title = "Queue runs"
            yield SelectionList(*(self._selection(path) for path in self._recipes))
            yield Label("changes in all of them, apart by spaces")
            yield Input(placeholder="train.steps=50", id="changes", compact=True)
            yield Label("a run for each value, or each pair of them")
            yield Input(
                placeholder="optimizer.learning_rate=1e-4,3e-4 lora.rank=8,16",
                id="grid",
                compact=True,
            )
            yield Checkbox("studies: the ways to train of each are compared", compact=True)
            yield Static(id="said")
            with Horizontal():
                yield Button("Cancel (esc)", id="cancel", compact=True)
                yield Button("Queue (ctrl+s)", id="add", variant="primary", compact=True)

    def _selection(self, path: Path) -> Selection[Path]:
        return Selection(one_line(f"{path.stem}  {place(path)}", 68), path)

    def on_mount(self) -> None:
        """Say what is to be done first."""
        self._check()

    @on(SelectionList.SelectedChanged)
    @on(Checkbox.Changed)
    @on(Input.Changed)
    def _check(self) -> None:
        """Say how many runs it would be, or what is wrong."""
        self._is_wanted = self._is_sound = False
        try:
            changes, grid = self._words_of("changes"), self._words_of("grid")
            if grid and self._is_of_studies:
                raise YofoError("a study has no values to vary", "queue them one by one")
        except YofoError as error:
            self._say(error)
            return
        self._validate(self._chosen, changes, grid)

    @work(thread=True, exclusive=True, exit_on_error=False, group="check")
    def _validate(self, chosen: list[Path], changes: list[str], grid: list[str]) -> None:
        try:
            asked = requests([str(path) for path in chosen], [], changes, grid) if chosen else []
        except (OSError, YofoError) as error:
            ours = error if isinstance(error, YofoError) else YofoError(reason(error))
            self.post_message(self.Checked(0, ours))
        else:
            self.post_message(self.Checked(len(asked)))

    @on(Checked)
    def _checked(self, message: Checked) -> None:
        if message.error is not None:
            self._say(message.error)
            return
        self._is_sound = bool(message.count)
        words = f"{plural(message.count, 'run')}, one after another"
        if self._is_of_studies:
            words = "a study of each, one after another"
        self.query_one("#said", Static).update(muted(words if message.count else CHOOSE))
        if self._is_sound and self._is_wanted:
            self._give()

    def _say(self, error: YofoError) -> None:
        said = safe(f"{error.message}\n{error.hint}", 400).stylize("$text-error")
        self.query_one("#said", Static).update(said)

    @property
    def _is_of_studies(self) -> bool:
        return self.query_one(Checkbox).value

    @property
    def _chosen(self) -> list[Path]:
        chosen = self.query_one(SelectionList).selected
        return [path for path in self._recipes if path in chosen]

    def _words_of(self, name: str) -> list[str]:
        text = self.query_one(f"#{name}", Input).value
        try:
            return shlex.split(text)
        except ValueError as error:
            raise YofoError(f"{name}: {error}", "close the quotation mark") from error

    @on(Input.Submitted)
    @on(Button.Pressed, "#add")
    def action_add(self) -> None:
        """Give the words back, as soon as they are known to hold."""
        self._is_wanted = True
        if self._is_sound:
            self._give()
        elif not self._chosen:
            self.query_one(SelectionList).focus()

    def _give(self) -> None:
        options = [f"--set={change}" for change in self._words_of("changes")]
        options += [f"--grid={axis}" for axis in self._words_of("grid")]
        sign = "--study=" if self._is_of_studies else ""
        self.dismiss([*(f"{sign}{path}" for path in self._chosen), *options])

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Close without queueing."""
        self.dismiss(None)
