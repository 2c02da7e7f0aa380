"""Letters on the lists, fields and panes of a screen: one key leads to any of them."""

from string import ascii_lowercase
from typing import ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from .dialog import Dialog


class JumpScreen(Dialog, ModalScreen[Widget | None]):
    """A letter on each place that can have the focus; any other key leads nowhere."""

    CSS = """
    JumpScreen { background: $background 40%; layers: base letters; }
    JumpScreen Static {
        position: absolute; layer: letters; width: 3; height: 1; text-align: center;
        background: $primary; color: $text; text-style: bold;
    }
    """

    def __init__(self, places: list[Widget]) -> None:
        super().__init__()
        self._places = dict(zip(ascii_lowercase, places, strict=False))

    def compose(self) -> ComposeResult:
        """Put each letter where its place begins."""
        for letter, place in self._places.items():
            label = Static(letter)
            label.offset = place.region.offset
            yield label

    def on_key(self, event: events.Key) -> None:
        """Go to the place of a letter."""
        event.stop()
        self.dismiss(self._places.get(event.key))


class Jumping(App[None]):
    """An app in which any place on the screen is two keys away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+o", "jump", "Jump", id="app.jump", priority=True, show=False),
        Binding("colon", "command_palette", "Commands", id="app.colon", show=False),
    ]

    def action_jump(self) -> None:
        """Show the letters, unless a dialog is open."""
        screen = self.screen
        places = [one for one in screen.focus_chain if one.region.area]
        if places and not isinstance(screen, ModalScreen):
            self.push_screen(JumpScreen(places), self._jumped)

    def _jumped(self, place: Widget | None) -> None:
        if place is not None and place.is_attached:
            self.screen.set_focus(place)
