"""What Textual 8.2.8 gets wrong wherever its widgets are used."""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet
from textual.events import Click, ScreenResume
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import DataTable, OptionList


@cache
def mend_textual() -> None:
    """Mend Textual, once."""
    _mend_lists()
    _mend_sizes()
    _mend_layouts()
    _mend_coming_back()
    _mend_backgrounds()
    _mend_clicks()
    _mend_late_clicks(OptionList, "option", lambda options: options.option_count)
    _mend_late_clicks(DataTable, "column", lambda table: len(table.columns))
    _mend_parsing()
    _mend_writing()


def _mend_lists() -> None:
    """Let a list that was never drawn, or has no room, take page keys: Textual fails there."""
    move = OptionList._move_page

    def move_page(self: OptionList, direction: Any) -> None:
        if self._index_to_line:
            move(self, direction)

    OptionList._move_page = move_page  # type: ignore[method-assign]


def _mend_sizes() -> None:
    """Obey no size that the terminal has left meanwhile, nor one that a screen is laid out for.

    Being laid out for a size sends a screen that size again: two of them in its queue would take
    turns for ever, and each dialog would lay itself and what lies behind it out once more.
    """
    resized = Screen._screen_resized

    def screen_resized(self: Screen[Any], size: Size) -> None:
        if size == self.app.size != self._compositor.size:
            resized(self, size)

    Screen._screen_resized = screen_resized  # type: ignore[method-assign]


def _mend_layouts() -> None:
    """Let a widget that asks twice to be laid out get the size that it has the second time.

    Sizes are kept by a count that only the first of the two raises, and a screen that is laid out
    between them keeps the old size under it: a table filled then stayed without height, unseen.
    """
    refresh = Widget.refresh

    def refresh_and_count(self: Widget, *regions: Any, layout: bool = False, **kinds: bool) -> Any:
        if layout and self._layout_required:
            self._layout_updates += 1
        return refresh(self, *regions, layout=layout, **kinds)

    Widget.refresh = refresh_and_count  # type: ignore[method-assign]


def _mend_coming_back() -> None:
    """Let a screen one comes back to keep its styles: what changes them tells it meanwhile, too.

    Textual works all of them out anew, which is most of what it does from one place to another.
    """
    resumed = Screen._on_screen_resume

    def on_screen_resume(self: Screen[Any], event: ScreenResume) -> None:
        event.refresh_styles &= not self.stack_updates
        resumed(self, event)

    Screen._on_screen_resume = on_screen_resume  # type: ignore[method-assign]


def _mend_backgrounds() -> None:
    """Draw a screen that shines through a dialog when it changes, not again for having been drawn.

    Textual marks it as to be drawn by drawing it: with each of its messages, all goes once more.
    """
    refresh = Screen._compositor_refresh

    def compositor_refresh(self: Screen[Any]) -> None:
        is_due = self._repaint_required
        refresh(self)
        if self is not self.app.screen:
            self._repaint_required = is_due

    Screen._compositor_refresh = compositor_refresh  # type: ignore[method-assign]


def _mend_clicks() -> None:
    """Let a click on what is just being taken away be one on nothing, not on its lost parent."""
    found = Screen.get_widget_and_offset_at

    def widget_and_offset(self: Screen[Any], x: int, y: int) -> tuple[Any, Any]:
        widget, offset = found(self, x, y)
        gone = widget is not None and widget.parent is None and not isinstance(widget, Screen)
        return (None, None) if gone else (widget, offset)

    Screen.get_widget_and_offset_at = widget_and_offset  # type: ignore[method-assign]


def _mend_late_clicks(kind: Any, entry: str, count: Callable[[Any], int]) -> None:
    """Let a click on an entry that has gone since it was drawn be one on nothing."""
    clicked = kind._on_click

    async def on_click(self: Any, event: Click) -> None:
        if event.style.meta.get(entry, -1) < count(self):
            await clicked(self, event)

    kind._on_click = on_click


def _mend_parsing() -> None:
    """Parse each style sheet once for the same colours, not at every change of place.

    Textual keeps what it has parsed in an object that it makes anew whenever it parses all.
    """
    parse = Stylesheet._parse_rules
    parsed: LRUCache[tuple[Any, ...], list[Any]] = LRUCache(maxsize=512)

    def parse_once(self: Stylesheet, *source: Any, **about: Any) -> list[Any]:
        key = (source, *about.items(), *self._variables.items())
        if key not in parsed:
            parsed[key] = parse(self, *source, **about)
        return parsed[key]

    Stylesheet._parse_rules = parse_once  # type: ignore[method-assign]


def _mend_writing() -> None:
    """Write to the terminal only what it does not show yet.

    Textual writes all of a widget of which anything may have changed: each second 20 kB to a
    terminal that may lie behind a slow line. A whole screen, as after a resize, is written whole.
    """
    write_all = LayoutUpdate.render_segments
    there: defaultdict[int, dict[tuple[int, int], str]] = defaultdict(dict)  # by row: from, to

    def write_layout(self: LayoutUpdate, console: Console) -> str:
        there.clear()
        return write_all(self, console)

    def write_changes(self: ChopsUpdate, console: Console) -> str:
        written = []
        for y, left, right in self.spans:
            for stop, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= right or stop <= left:
                    continue
                end = min(stop, right)
                text = (strip if end == stop else strip.crop(0, end - x)).render(console)
                row = there[y]
                if row.get((x, end)) != text:
                    for other in [one for one in row if one[0] < end and x < one[1]]:
                        del row[other]
                    row[x, end] = text
                    written.append(Control.move_to(x, y).segment.text + text)
        return "".join(written)

    LayoutUpdate.render_segments = write_layout  # type: ignore[method-assign]
    ChopsUpdate.render_segments = write_changes  # type: ignore[method-assign]
