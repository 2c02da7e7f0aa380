"""The line at the bottom of the form of a new run: words to find keys by, a file, a data set."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Key
from textual.widgets import Input, Label

LABELS = {"find": "find a key", "save": "save as", "add": "add data"}
HINTS = {
    "find": "words of its name or its help; tasks.0 for the first data set",
    "save": "a file that ends in .toml",
    "add": "file, folder, pattern or hub id",
}


Answer = Callable[[str, str, bool], None]  # what was asked for, the text, whether it is all of it


class AnswerField(Input):
    """Gives its answer before the next key, which is for what has the focus then."""

    async def _on_key(self, event: Key) -> None:
        line = self.parent
        if not (isinstance(line, AskLine) and line.has_class("-open")):
            event.stop()
            event.prevent_default()
            self.app.post_message(Key(event.key, event.character))
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            line.give(is_done=True)
        else:
            await super()._on_key(event)


class AskLine(Horizontal):
    """Asks for one thing at a time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", id="ask.close"),
    ]

    def __init__(self, answer: Answer) -> None:
        """`answer`: is told each text as it is typed, and at once when it is done."""
        super().__init__(id="asked")
        self._what = ""
        self._answer = answer

    def compose(self) -> ComposeResult:
        """Lay the line out."""
        yield Label()
        yield AnswerField(compact=True)

    def ask(self, what: str, text: str = "") -> None:
        """Ask for something, with an answer to begin with."""
        self._what = what
        self.add_class("-open")
        self.query_one(Label).update(LABELS[what])
        line = self.query_one(Input)
        line.placeholder = line.tooltip = HINTS[what]
        with line.prevent(Input.Changed):
            line.value = text
        self.screen.set_focus(line)

    def put_away(self) -> None:
        """Be out of the way."""
        self.remove_class("-open")

    def action_close(self) -> None:
        """Answer with nothing: words that were looked for are then none."""
        self._answer(self._what, "", True)

    def give(self, is_done: bool) -> None:
        """Tell what is there."""
        text = self.query_one(Input).value
        self._answer(self._what, text.strip() if is_done else text, is_done)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._what == "find" and self.has_class("-open"):
            self.give(is_done=False)
