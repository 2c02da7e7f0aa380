"""A field for pasted text: all its lines, and none of it obeyed by the terminal."""

from typing import ClassVar, Final

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from yofo_mlx.text import printable

LONGEST_WRAPPED: Final = 20_000  # characters


class TextField(TextArea):
    """A text area that shows control characters as one visible cell each."""

    DEFAULT_CSS = """
    TextField {
        border: round $panel-lighten-2; padding: 0 1; background: $background;
        border-title-color: $foreground-muted; border-subtitle-color: $foreground-muted;
        scrollbar-size-vertical: 1;
    }
    TextField:focus { border: round $primary; border-title-color: $text-primary; }
    """

    def __init__(self, placeholder: str, *, id: str) -> None:
        super().__init__(
            id=id,
            placeholder=placeholder,
            tab_behavior="focus",
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
        )

    def on_paste(self, event: events.Paste) -> None:
        """Leave enormous lines unwrapped: wrapping one takes seconds at every key."""
        pasted = f"{self.text}\n{event.text}".split("\n")
        self.soft_wrap = max(map(len, pasted)) <= LONGEST_WRAPPED

    def get_line(self, line_index: int) -> Text:
        """Return a line as it is drawn."""
        line = super().get_line(line_index)
        line.plain = neutralised(line.plain)
        return line


class QueryField(TextField):
    """Where a question is written: enter asks, ctrl+j breaks the line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "ask", "Ask", id="query.ask", priority=True),
        Binding("pageup", "screen.page(-1)", "Earlier answers", show=False, id="query.earlier"),
        Binding("pagedown", "screen.page(1)", "Later answers", show=False, id="query.later"),
        Binding("ctrl+j", "newline", "New line", id="query.newline", show=False),
    ]

    class Asked(Message):
        """The user wants an answer."""

    def action_ask(self) -> None:
        """Ask what is written."""
        self.post_message(self.Asked())

    def action_newline(self) -> None:
        """Break the line."""
        self.insert("\n")


def neutralised(text: str) -> str:
    """Replace control characters one for one, so that the cursor stays where it is."""
    if printable(text, keep="\t") == text:
        return text
    return "".join(c if c == "\t" or printable(c) == c else _picture(c) for c in text)


def _picture(character: str) -> str:
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "�"
