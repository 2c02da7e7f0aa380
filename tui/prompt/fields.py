"""A field for pasted text: all its lines as they came, and none of it obeyed by the terminal."""

import re
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from rich.cells import cell_len, chop_cells
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from yofo_mlx.system.text import printable

from ..shared.dropped import file_in
from .models import Adapter, brought
from .pasted import looks_like_rows

LONGEST_WRAPPED: Final = 20_000  # characters of a line
MOST_WRAPPED: Final = 10_000  # lines
LARGE: Final = 1_000  # characters of one edit after which it is worth looking at every line
_STAND_INS: Final = (
    0x100000  # private characters, one cell wide, in place of what must not be drawn
)
_STAND_IN: Final = re.compile("[\U00100000-\U0010fffb]")


class TextField(TextArea):
    """A text area that shows control characters as one visible cell each, and gives them back."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"text-field--answer"}
    DEFAULT_CSS = """
    TextField {
        border: round $foreground 30%; padding: 0 1; background: $background;
        border-title-color: $foreground-muted; border-subtitle-color: $foreground-muted;
        scrollbar-size-vertical: 1;
        & .text-field--answer { color: $text-success; text-style: bold; }
    }
    TextField:focus { border: round $primary; border-title-color: $text-primary; }
    """

    def __init__(self, placeholder: str, *, id: str) -> None:
        self._whole: str | None = ""
        self._separator = ""
        super().__init__(
            id=id,
            placeholder=placeholder,
            tab_behavior="focus",
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
        )

    @property
    def text(self) -> str:
        """Return the text as it was typed or pasted; drawing asks for it at every line."""
        if self._whole is None:
            self._whole = given_back(self.document.text)
        return self._whole

    @text.setter
    def text(self, value: str) -> None:
        self.load_text(value)

    @property
    def selected_text(self) -> str:
        """Return what is selected, as it was typed or pasted."""
        return given_back(super().selected_text)

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Scroll to the cursor, unless it is still behind a text that was just taken back.

        Textual asks too early then, and fails; where the cursor belongs is seen to right after.
        """
        is_behind = self.cursor_location[0] >= self.document.line_count
        return Offset() if is_behind else super().scroll_cursor_visible(center, animate)

    def load_text(self, text: str) -> None:
        """Replace the whole text."""
        text = held(text)
        self.soft_wrap = _can_be_wrapped(text.split("\n"))
        self._whole = None
        super().load_text(text)

    def edit(self, edit: Edit) -> EditResult:
        """Change the text; what is enormous stays unwrapped, since wrapping it takes seconds."""
        edit.text = held(edit.text)
        if not _can_be_wrapped(edit.text.split("\n")):
            self.soft_wrap = False
        self._whole = None
        result = super().edit(edit)
        if len(edit.text) > LARGE or not self.soft_wrap:
            lines = [self.document.get_line(at) for at in range(self.document.line_count)]
            self.soft_wrap = _can_be_wrapped(lines)
        return result

    def undo(self) -> None:
        """Take the last edit back."""
        self._whole = None
        super().undo()

    def redo(self) -> None:
        """Do again what was taken back."""
        self._whole = None
        super().redo()

    def append(self, text: str) -> None:
        """Add text on lines of its own after all there is, wherever the cursor stands."""
        apart = "\n" if self.text and not self.text.endswith("\n") else ""
        self.insert(apart + text, self.document.end)

    def mark_answers(self, separator: str) -> None:
        """Colour what follows the last separator of each line; without one, nothing."""
        if separator != self._separator:
            self._separator = separator
            self.notify_style_update()

    def get_line(self, line_index: int) -> Text:
        """Return a line as it is drawn."""
        line = super().get_line(line_index)
        plain = _STAND_IN.sub(lambda found: _picture(found[0]), line.plain)
        _, found, answer = plain.rpartition(self._separator or "\n")
        if not (self.soft_wrap or self.scroll_x or line_index == self.cursor_location[0]):
            plain = _both_ends(plain.replace("\t", " "), self.content_size.width)
        line.plain = plain
        if found:
            style = self.get_component_rich_style("text-field--answer", partial=True)
            line.stylize(style, max(0, len(plain) - len(answer)))
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
        """The user wants an answer, or one to each line."""

        def __init__(self, each: bool = False) -> None:
            super().__init__()
            self.each = each

    def action_ask(self, each: bool = False) -> None:
        """Ask what is written."""
        self.post_message(self.Asked(each))

    def action_newline(self) -> None:
        """Break the line."""
        self.insert("\n")


class QuestionField(QueryField):
    """Where a question to the model is written; what is pasted may be many, or no question."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "ask(True)", "Ask each line", show=False, id="query.each"),
    ]
    HELP = """A question, without its answer. `enter` asks it, `ctrl+n` asks each line of it by
itself. A file of questions dropped here asks them all; pasted rows can become demonstrations; the
folder of an adapter or of a model, dropped anywhere, is who answers."""

    class Dropped(Message):
        """A file was dropped here."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    class Brought(Message):
        """An adapter or a model, by its path, was dropped here."""

        def __init__(self, who: Adapter | str) -> None:
            super().__init__()
            self.who = who

    class Rows(Message):
        """What is pasted here looks like demonstrations."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def on_paste(self, event: events.Paste) -> None:
        """Look whether what is pasted is no question."""
        if who := brought(event.text):
            event.prevent_default().stop()
            self.post_message(self.Brought(who))
        elif path := file_in(event.text):
            event.prevent_default().stop()
            self.post_message(self.Dropped(path))
        elif looks_like_rows(event.text):
            event.prevent_default().stop()
            self.post_message(self.Rows(event.text))


def _can_be_wrapped(lines: list[str]) -> bool:
    return len(lines) <= MOST_WRAPPED and max(map(len, lines)) <= LONGEST_WRAPPED


def held(text: str) -> str:
    r"""Return text as the field holds it: `\n` ends a line, and nothing else does.

    Terminals send a pasted line break as `\r`. What a terminal would obey, and what Textual would
    break a line at, such as U+2028, is held as a stand-in, one for one.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if printable(text, keep="\n\t") == text else text.translate(_stand_ins())


@cache
def _stand_ins() -> dict[int, int]:
    """Return what is held in place of each character that must not be drawn."""
    codes = (code for code in range(0x10000) if printable(chr(code), keep="\n\t") != chr(code))
    return {code: _STAND_INS + code for code in codes}


def given_back(text: str) -> str:
    """Return text that a field holds as it was typed or pasted."""
    return _STAND_IN.sub(lambda found: chr(ord(found[0]) - _STAND_INS), text)


def _both_ends(line: str, width: int) -> str:
    """Return what fits of a line that is not wrapped: the answer is the last thing on it."""
    if width < 8 or (len(line) <= 2 * width and cell_len(line) <= width):
        return line
    start = chop_cells(line[:width], width // 2)[0]
    end = chop_cells(line[: -width - 1 : -1], width - width // 2 - 2)[0]
    return f"{start}…{end[::-1]}"


def _picture(stand_in: str) -> str:
    code = ord(stand_in) - _STAND_INS
    return chr(0x2400 + code) if code < 0x20 else "�"
