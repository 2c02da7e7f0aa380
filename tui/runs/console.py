"""The console of a run as a tab: its end, followed; all before it; a search through the whole."""

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Log, Static

from yofo_mlx.system.quantities import size

from ..shared.words import MUTED, safe
from . import console_file
from .console_file import Stretch
from .view import RunView

SIGN = "▶ "


class ConsoleTab(Vertical):
    """Reads what a trainer printed in bounded memory, however long it is."""

    HELP = (
        "What the trainer printed. It opens at the end and follows what is added while the end is "
        "in sight; page up at the top reads what is before. / searches the whole file backwards, "
        "n and N go to the next place before and behind."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="console.search", key_display="/"),
        Binding("n", "next(False)", "Next place", id="console.next", show=False),
        Binding("N", "next(True)", "Place before", id="console.previous", show=False),
        Binding("g,home", "start", "Start", id="console.start", show=False),
        Binding("G,end", "end", "End", id="console.end", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", id="console.page_up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", id="console.page_down", show=False),
        Binding("k,up", "page(0,-1)", "Up", id="console.up", show=False),
        Binding("j,down", "page(0,1)", "Down", id="console.down", show=False),
        Binding("escape", "leave_search", "Leave", id="console.leave", show=False),
    ]
    DEFAULT_CSS = """
    ConsoleTab {
        Log { height: 1fr; padding: 0 1; background: $background; scrollbar-size-horizontal: 0; }
        Log:focus { background-tint: $background 0%; }
        #console-state { height: 1; padding: 0 1; }
        #console-search { height: 1; margin: 0 1; display: none; }
    }
    """

    class Loaded(Message):
        """A stretch of the console was read, or nothing was found."""

        def __init__(self, stretch: Stretch | None, what: str) -> None:
            super().__init__()
            self.stretch, self.what = stretch, what

    def __init__(self) -> None:
        super().__init__(id="console-tab")
        self._view: RunView | None = None
        self._stretch: Stretch | None = None
        self._words = ""

    def compose(self) -> ComposeResult:
        """Lay the text over its state and the search."""
        yield Log()
        yield Input(placeholder="search backwards", id="console-search", compact=True)
        yield Static(id="console-state")

    def follow(self, view: RunView) -> None:
        """Show the console of a run, its end when it is another's."""
        is_other = self._view is None or view.run != self._view.run
        self._view = view
        if is_other:
            self._stretch = None
            self.query_one(Log).clear()
            self._load("end")
        elif self._stretch is not None and self._stretch.is_last and self._is_at_end:
            self._load("follow")

    @property
    def _is_at_end(self) -> bool:
        return self.query_one(Log).is_vertical_scroll_end

    @work(thread=True, exclusive=True, exit_on_error=False, group="console")
    def _load(self, what: str, at: int = 0) -> None:
        view, stretch = self._view, self._stretch
        if view is None:
            return
        path, found = view.run.console_path, None
        if what in ("end", "follow"):
            found = console_file.end_of(path)
            if what == "follow" and stretch is not None and found.size == stretch.size:
                return
        elif what == "start":
            found = console_file.start_of(path)
        elif what == "before" and stretch is not None:
            found = console_file.before(stretch)
        elif what == "after" and stretch is not None:
            found = console_file.after(stretch)
        elif what in ("search", "search forwards") and path.exists():
            found = console_file.find(path, self._words, at, forwards=what != "search")
        if self._view is view or (self._view is not None and self._view.run == view.run):
            self.post_message(self.Loaded(found, what))

    @on(Loaded)
    def _loaded(self, message: Loaded) -> None:
        log, stretch, before = self.query_one(Log), message.stretch, self._stretch
        if stretch is None:
            self._say("not found")
            return
        at = log.scroll_offset.y
        first = 0 if before is None else at
        self._stretch = stretch
        lines = list(stretch.lines)
        if stretch.found is not None and stretch.found < len(lines):
            lines[stretch.found] = SIGN + lines[stretch.found]
        log.clear()
        log.write_lines(lines, scroll_end=message.what in ("end", "follow"))
        if message.what == "start":
            log.scroll_to(y=0, animate=False)
        elif stretch.found is not None:
            log.scroll_to(y=max(0, stretch.found - 3), animate=False)
        elif before is not None and message.what in ("before", "after"):
            log.scroll_to(y=max(0, self._same_line(before, stretch, first)), animate=False)
        self._say("")

    def _same_line(self, before: Stretch, now: Stretch, line: int) -> int:
        """Return where the line that was on top is now: the first of what both hold."""
        top = before.lines[min(line, len(before.lines) - 1)] if before.lines else ""
        page = self.query_one(Log).size.height
        places = [n for n, text in enumerate(now.lines) if text == top]
        at = places[-1] if places else len(now.lines)
        return at - page if now.start < before.start else at + page

    def _say(self, more: str) -> None:
        stretch = self._stretch
        if stretch is None or not stretch.size:
            words = "the console is empty: only a run in the background, or one that died, has one"
        else:
            share = f"to {100 * stretch.end / stretch.size:.0f}% of {size(stretch.size)}"
            words = f"{share} · / searches · g start · G end"
            words = f"the end, followed · {words}" if stretch.is_last else words
        found = f"{more}: {self._words} · " if more else ""
        self.query_one("#console-state", Static).update(
            safe(f"{found}{words}").stylize("$text-warning" if more else MUTED)
        )

    def action_page(self, pages: int, lines: int = 0) -> None:
        """Scroll, and read on where the stretch that is held ends."""
        log, stretch = self.query_one(Log), self._stretch
        by = pages * max(1, log.size.height - 1) + lines
        at = log.scroll_offset.y
        if by < 0 and at == 0 and stretch is not None and stretch.start > 0:
            self._load("before")
        elif by > 0 and self._is_at_end and stretch is not None and not stretch.is_last:
            self._load("after")
        else:
            log.scroll_to(y=at + by, animate=False)

    def action_start(self) -> None:
        """Go to the first line."""
        self._load("start")

    def action_end(self) -> None:
        """Go to the last line, and follow it."""
        self._load("end")

    def action_search(self) -> None:
        """Ask for words to look for."""
        box = self.query_one("#console-search", Input)
        box.display = True
        box.focus()

    def action_leave_search(self) -> None:
        """Close the search; without one, leave the tab to its screen."""
        box = self.query_one("#console-search", Input)
        if box.display:
            box.display = False
            self.query_one(Log).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave escape to the screen where no search is open."""
        is_open = bool(self.query("#console-search")) and self.query_one("#console-search").display
        if action == "leave_search":
            return bool(is_open)
        return True

    @on(Input.Submitted, "#console-search")
    def _searched(self, event: Input.Submitted) -> None:
        event.stop()
        self._words = event.value
        self.action_leave_search()
        if self._words and self._view is not None:
            self._load("search", self._stretch.size if self._stretch else 0)

    def action_next(self, forwards: bool) -> None:
        """Go to the next place of the words, further up; or further down."""
        stretch = self._stretch
        if not self._words or stretch is None:
            self.action_search()
            return
        line = stretch.found if stretch.found is not None else len(stretch.lines)
        at = console_file.offset_of(stretch, line + 1 if forwards else line)
        self._load("search forwards" if forwards else "search", at)
