"""The command palette: what the keys do, and the runs, recipes and files there are."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, cast

from textual import events
from textual.command import CommandPalette, Hit, Hits, Provider
from textual.errors import NoWidget
from textual.geometry import Region
from textual.widget import Widget

from .dialog import Dialog


class Thing(NamedTuple):
    """Something that can be gone to by its name."""

    name: str
    about: str
    go: Callable[[], object]


class HasThings(Protocol):
    """An app that knows what can be gone to; it is asked in a thread, as disks are slow."""

    def things(self) -> Iterable[Thing]:
        """Return them all."""


class Things(Provider):
    """Finds runs, recipes and files by their names."""

    async def startup(self) -> None:
        """Ask the app for them."""
        self._things = list(await asyncio.to_thread(cast(HasThings, self.app).things))

    async def search(self, query: str) -> Hits:
        """Yield what a name matches."""
        matcher = self.matcher(query)
        for thing in self._things:
            if (match := matcher.match(thing.name)) > 0:
                yield Hit(match, matcher.highlight(thing.name), thing.go, help=thing.about)


class Palette(Dialog, CommandPalette):
    """Textual's own; one that is closed while it searches does not end the app."""

    def on_mount(self, event: events.Mount) -> None:
        """Begin nothing if a dialog below has closed meanwhile and taken this with it."""
        if self not in self.app.screen_stack:
            event.prevent_default()

    def run_worker(self, *arguments: Any, **options: Any) -> Any:
        """Let a search fail alone: its list may be gone by then."""
        return super().run_worker(*arguments, **options | {"exit_on_error": False})

    def get_widget_at(self, x: int, y: int) -> tuple[Widget, Region]:
        """Take a click past the edge, as of a window that just shrank, for one beside the list."""
        try:
            return super().get_widget_at(x, y)
        except NoWidget:
            return self, self.region
