"""What there is to see of one run, a tab each: names, and the line that shows which one is open."""

from typing import Final, Protocol

from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Static

from ..shared.words import MUTED
from .view import RunView

NAMES: Final = {
    "overview": "Overview",
    "shots": "Shots",
    "validations": "Validations",
    "samples": "Samples",
    "episodes": "Episodes",
    "console": "Console",
    "recipe": "Recipe",
    "files": "Files",
}
SHORT: Final = {"validations": "Valid"}


class Tab(Protocol):
    """What a tab shows."""

    def follow(self, view: RunView) -> None:
        """Show a run as it stands."""


class TabLine(Static):
    """The tabs' names, the open one marked; a click opens another."""

    DEFAULT_CSS = "TabLine { height: 1; width: auto; padding: 0 1; text-wrap: nowrap; }"

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[tuple[int, int, str]] = []  # first and last column of each name

    def show(self, current: str, width: int) -> None:
        """Mark the open tab."""
        names = NAMES if width >= 100 else NAMES | SHORT
        gap = "   " if width >= 100 else " "
        parts: list[Content] = []
        self._spans, at = [], 0
        for name, words in names.items():
            is_open = name == current
            parts.append(
                Content.styled(f" {words} ", "bold $text on $primary-muted" if is_open else MUTED)
            )
            self._spans.append((at, at + len(words) + 2, name))
            at += len(words) + 2 + len(gap)
        self.update(Content(gap).join(parts))

    def on_click(self, event: Click) -> None:
        """Open the tab whose name is there."""
        place = event.get_content_offset(self)
        for first, last, name in self._spans:
            if place is not None and first <= place.x < last:
                self.post_message(self.Chosen(name))
