"""The dialog that starts a run: a recipe, and what to change in it."""

import shlex
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from yofo_mlx.errors import YofoError
from yofo_mlx.runs.folder import Run

from ..shared.dialog import Dialog
from ..shared.recipes import about_recipe, find_recipes, place
from ..shared.recovery import Recovering
from ..shared.words import muted, one_line, safe
from .starting import Starter

EMPTY = "No recipes found. `yofo recipes copy <name>` puts one into this folder."


class NewRunScreen(Dialog, Recovering, ModalScreen[Run | None]):
    """Choose, adjust, start; gives the run back once its folder exists."""

    CSS_PATH = "new.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="new_run.cancel"),
        Binding("ctrl+s", "start", "Start", id="new_run.start"),
    ]

    class Failed(Message):
        """The run could not be started."""

        def __init__(self, error: YofoError) -> None:
            super().__init__()
            self.error = error

    class Started(Message):
        """The run's folder exists and its trainer is on its way."""

        def __init__(self, run: Run) -> None:
            super().__init__()
            self.run = run

    def __init__(self, starter: Starter, again: Run | None = None, why: str = "") -> None:
        """`again`: a run whose settings are offered first, and `why`."""
        super().__init__()
        self._starter, self._why = starter, why
        self._recipes = ([again.recipe_path] if again else []) + find_recipes()
        self._again = again
        self._starting = False

    def compose(self) -> ComposeResult:
        """Lay out the list, the line of changes, and the buttons."""
        with Vertical() as box:
            box.border_title = "New run"
            if self._why:
                yield Static(safe(self._why), id="why")
            yield OptionList(*[Option(self._option(path)) for path in self._recipes])
            if not self._recipes:
                yield Static(EMPTY, id="about")
            yield Label("Changes (section.key=value, apart by spaces)")
            yield Input(placeholder="train.steps=50 optimizer.learning_rate=2e-4", compact=True)
            yield Static("", id="problem")
            with Horizontal():
                yield Button("Cancel (esc)", id="cancel", compact=True)
                yield Button("Start (ctrl+s)", id="start", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Choose the first recipe."""
        self.query_one(OptionList).highlighted = 0 if self._recipes else None
        if self._again is not None:
            self.query_one(Input).focus()

    @on(OptionList.OptionSelected)
    def _to_changes(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        """Start the chosen recipe with the changes written."""
        chosen = self.query_one(OptionList).highlighted
        if chosen is None or self._starting:
            return
        try:
            changes = shlex.split(self.query_one(Input).value)
        except ValueError as error:
            self._say(f"changes: {error}", "close the quotation mark")
            return
        self._starting = True
        self.query_one("#problem", Static).update(muted("Starting …"))
        self._start(self._recipes[chosen], changes)

    @work(thread=True, exclusive=True, exit_on_error=False, group="start")
    def _start(self, recipe: Path, changes: list[str]) -> None:
        try:
            run = self._starter(recipe, changes)
        except YofoError as error:
            self.post_message(self.Failed(error))
        except OSError as error:
            self.post_message(self.Failed(YofoError(str(error), "check the disk")))
        else:
            self.post_message(self.Started(run))

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self._starting = False
        self._say(message.error.message, message.error.hint)

    def recover(self, group: str, words: str) -> None:
        """Let it be tried again."""
        self.post_message(self.Failed(YofoError(words)))

    @on(Started)
    def _started(self, message: Started) -> None:
        self.dismiss(message.run)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Close without starting."""
        self.dismiss(None)

    def _say(self, what: str, hint: str) -> None:
        said = Content("\n").join([safe(what).stylize("$text-error"), safe(hint)])
        self.query_one("#problem", Static).update(said)

    def _option(self, path: Path) -> Content:
        about = one_line(about_recipe(path), 64)
        if self._again is not None and path == self._again.recipe_path:
            name, where = self._again.run_id, "its settings, in a new run"
        else:
            name, where = path.stem, place(path)
        return Content.assemble(
            one_line(name, 60).stylize("bold"), "  ", (where, "dim"), "\n  ", about
        )
