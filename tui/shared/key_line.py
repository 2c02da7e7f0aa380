"""The line of keys at the bottom: those that apply here, as many as fit, whole."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from .words import MUTED

ALWAYS: Final = ("escape", "f1")  # the way out, and help: there are those that do not fit


@dataclass(frozen=True)
class Key:
    """A key that applies: what it is called, its words, and what a click on them presses."""

    shown: str
    words: str
    pressed: str

    @property
    def width(self) -> int:
        """Return the cells it takes."""
        return cell_len(f" {self.shown} {self.words} ")  # the blank after the last one may lack

    @property
    def content(self) -> Content:
        """Return it in colours."""
        said = Content.assemble((f" {self.shown} ", "bold $footer-key-foreground"), self.words)
        return said.stylize(Style.from_meta({"pressed": self.pressed}))


class KeyLine(Widget):
    """One line, drawn anew only when other keys are to be shown.

    Textual's own is a widget for each key, all of them made anew whenever one changes.
    """

    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; background: $panel; color: $footer-foreground; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[Key] = []
        self._commands: Key | None = None

    def on_mount(self) -> None:
        """Follow the keys of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow)

    def _follow(self, screen: Screen[Any]) -> None:
        if not self.is_attached:  # its screen has been left
            return
        palette = self.app.COMMAND_PALETTE_BINDING
        active = screen.active_bindings
        first: dict[str, Key] = {}  # of several keys for one action
        for one in active.values():
            if one.binding.show:
                first.setdefault(one.binding.action, self._key(one))
        keys = [*first.values()]
        commands = self._key(active[palette]) if palette in active else None
        if (keys, commands) != (self._keys, self._commands):
            self._keys, self._commands = keys, commands
            self.refresh()

    def _key(self, active: Any) -> Key:
        binding = active.binding
        return Key(self.app.get_key_display(binding), binding.description, binding.key)

    def render(self) -> RenderResult:
        """Draw the keys, and at the right the one that finds all."""
        if self._commands is None:
            return Content()
        room = self.size.width - self._commands.width
        left = Content(" ").join(key.content for key in fitting(self._keys, room + 1))
        gap = " " * (room - left.cell_length)
        return Content.assemble(left, gap, ("▏", MUTED), self._commands.content[1:], " ")

    def on_click(self, event: events.Click) -> None:
        """Press the key that is clicked at."""
        if pressed := event.style.meta.get("pressed"):
            self.app.simulate_key(pressed)


def fitting(keys: Iterable[Key], room: int) -> list[Key]:
    """Return the keys that fit in so many cells, in their order; some are never left out."""
    there = list(keys)
    left = room - sum(key.width for key in there if key.pressed in ALWAYS)
    found = []
    for key in there:
        if key.pressed in ALWAYS:
            found.append(key)
        elif key.width <= left:
            found.append(key)
            left -= key.width
    return found
