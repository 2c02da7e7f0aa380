"""The line at the top: the three places, and what the newest run is at."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from .state_line import StateLine

PLACES = {"data": "1 Data", "runs": "2 Runs", "prompt": "3 Prompt"}


class PlaceLink(Static):
    """One place's name; a click goes there."""

    def __init__(self, name: str, current: bool) -> None:
        key, words = PLACES[name].split(" ", 1)
        style = "" if current else "$text-accent"  # which a light theme's mark would hide
        super().__init__(Content.assemble((key, style), f" {words}"), name=name)
        self.set_class(current, "-current")

    async def on_click(self) -> None:
        """Go to this place."""
        await self.run_action(f"app.place('{self.name}')")


class Places(Horizontal):
    """The names of the three places, the current one marked."""

    DEFAULT_CSS = """
    Places {
        dock: top; height: 1; background: $panel;
        PlaceLink { width: auto; padding: 0 2; color: $foreground-muted; }
        PlaceLink:hover { color: $foreground; }
        PlaceLink.-current { background: $primary-muted; color: $foreground; text-style: bold; }
        .title { width: auto; padding: 0 1 0 1; text-style: bold; color: $text-primary; }
    }
    .-narrow Places PlaceLink { padding: 0 1; }
    """

    def __init__(self, current: str) -> None:
        super().__init__()
        self._current = current

    def compose(self) -> ComposeResult:
        """Lay the names out."""
        yield Static("yofo", classes="title")
        for name in PLACES:
            yield PlaceLink(name, name == self._current)
        yield StateLine()
