"""Dialogs in which demonstrations are written: one of them, or all of them as text."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from yofo_mlx.prompting import sets
from yofo_mlx.prompting.demonstrations import parse
from yofo_mlx.tasks.task import Example

from ..shared.dialog import Dialog
from .fields import QueryField, TextField

MOST_PLAIN: Final = 5_000  # rows; reading more back would keep the keys waiting
CSS: Final = """
{name} {{ align: center middle; background: $background 60%; }}
{name} > Vertical {{
    width: 90%; max-width: 120; height: {height}; padding: 1 2;
    background: $surface; border: round $primary;
    border-subtitle-color: $foreground-muted;
}}
{name} Label {{ color: $text-muted; }}
{name} TextField {{ height: 1fr; }}
{name} #problem {{ height: auto; color: $text-error; }}
"""


class RowScreen(Dialog, ModalScreen[Example | None]):
    """Asks for an input and its answer."""

    CSS = CSS.format(name="RowScreen", height="20") + "RowScreen #answer { height: 4; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel", id="row.cancel"),
        Binding("ctrl+s", "keep", "Keep", id="row.keep", priority=True),
    ]

    def __init__(self, title: str, example: Example) -> None:
        super().__init__()
        self._title, self._example = title, example

    def compose(self) -> ComposeResult:
        """Lay out both texts."""
        with Vertical() as box:
            box.border_title = self._title
            box.border_subtitle = "enter keeps · ctrl+j breaks a line · tab · esc"
            yield Label("input")
            yield QueryField("what is asked", id="input")
            yield Label("answer")
            yield QueryField("what is to be answered", id="answer")
            yield Static(id="problem")

    def on_mount(self) -> None:
        """Show the demonstration as it is."""
        for id, text in (("#input", self._example.input), ("#answer", self._example.output)):
            field = self.query_one(id, QueryField)
            field.text = text
            field.move_cursor(field.document.end)
        self.query_one("#input").focus()

    @on(QueryField.Asked)
    def action_keep(self) -> None:
        """Give the demonstration back, if it is one."""
        fields = [self.query_one(id, QueryField) for id in ("#input", "#answer")]
        input, answer = (field.text.strip() for field in fields)
        if not input or not answer:
            missing = "answer" if input else "input"
            self.query_one("#problem", Static).update(f"the {missing} is empty: write one")
            self.query_one(f"#{missing}").focus()
        elif (input, answer) == (self._example.input, self._example.output):
            self.dismiss(None)
        else:
            self.dismiss(Example(input, answer))


class RowsTextScreen(Dialog, ModalScreen[str | None]):
    """Shows all demonstrations as text, and gives back the text that was made of it."""

    CSS = CSS.format(name="RowsTextScreen", height="90%")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel", id="text.cancel"),
        Binding("ctrl+s", "keep", "Keep", id="text.keep", priority=True),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay the text out."""
        with Vertical() as box:
            box.border_title = "Demonstrations as text"
            box.border_subtitle = "ctrl+s keeps · esc leaves all as it was"
            yield TextField("a row a line: input, tab, answer", id="text")

    def on_mount(self) -> None:
        """Show the text."""
        field = self.query_one(TextField)
        field.text = self._text
        field.mark_answers("" if self._text.startswith("{") else "\t")
        field.focus()

    def action_keep(self) -> None:
        """Give the text back, if it was changed."""
        text = self.query_one(TextField).text
        self.dismiss(None if text == self._text else text)


def as_text(examples: Sequence[Example]) -> str:
    """Return rows as lines with a tab where that reads back as the same, else as JSON lines."""
    plain = "".join(f"{one.input}\t{one.output}\n" for one in examples)
    if len(examples) <= MOST_PLAIN and parse(plain).examples == tuple(examples):
        return plain
    return "".join(sets.as_lines(examples))
