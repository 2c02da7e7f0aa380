"""The line at the bottom of the form of a new run: words to find keys by, a file, a data set."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label

LABELS = {"find": "find a key", "save": "save as", "add": "add data"}
HINTS = {
    "find": "words of its name or its help; tasks.0 for the first data set",
    "save": "a file that ends in .toml",
    "add": "file, folder, pattern or hub id",
}


class AskLine(Horizontal):
    """Asks for one thing at a time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", id="ask.close"),
    ]

    class Answered(Message):
        """A line was given; `is_done` unless it is still being typed."""

        def __init__(self, what: str, text: str, is_done: bool) -> None:
            super().__init__()
            self.what, self.text, self.is_done = what, text, is_done

    class Closed(Message):
        """Nothing is asked any more."""

    def __init__(self) -> None:
        super().__init__(id="asked")
        self._what = ""

    def compose(self) -> ComposeResult:
        """Lay the line out."""
        yield Label()
        yield Input(compact=True)

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
        """Close without an answer; words that were looked for are then none."""
        if self._what == "find":
            self.post_message(self.Answered("find", "", False))
        self.put_away()
        self.post_message(self.Closed())

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._what == "find":
            self.post_message(self.Answered("find", event.value, False))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Answered(self._what, event.value.strip(), True))
