"""What there is to see of a data set, a tab each, and the line that shows which one is open."""

from typing import Final

from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from ..shared.words import MUTED, one_line

NAMES: Final = {
    "examples": "Examples",
    "tokens": "Tokens",
    "labels": "Labels",
    "problems": "Problems",
    "about": "About",
}


class DataTabs(Static):
    """The data set's name, the tabs' names, the open one marked; a click opens another."""

    DEFAULT_CSS = "DataTabs { height: 1; padding: 0 1; text-wrap: nowrap; }"

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def show(self, name: str, current: str, problems: int, facts: str) -> None:
        """Name the data set, and mark the open tab; `facts` stand at the end, if there is room."""
        parts = [one_line(name, 24).stylize("bold")]
        for key, words in NAMES.items():
            words = f"{words} {problems:,}" if key == "problems" and problems else words
            on = key == current
            style = "bold $text on $primary-muted" if on else MUTED
            parts.append(Content.styled(f" {words} ", f"{style} @click=choose('{key}')"))
        line = Content(" ").join(parts)
        room = self.app.size.width - 2 - line.cell_length
        end = one_line(facts, max(0, room - 3)).stylize(MUTED) if facts and room > 20 else Content()
        self.update(Content.assemble(line, " " * max(0, room - end.cell_length), end))

    def action_choose(self, name: str) -> None:
        """Open a tab by a click."""
        self.post_message(self.Chosen(name))
