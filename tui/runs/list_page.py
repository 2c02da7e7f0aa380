"""A page that is a list: read in a thread, filtered, marked, and acted on by keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.system.text import reason

from ..shared.confirm import ConfirmScreen
from ..shared.key_line import KeyLine
from ..shared.page import Page
from ..shared.places import Places
from ..shared.table import Cell, Column, ListTable
from ..shared.words import muted, safe

MARK = Cell("◆", "$text-accent")


@dataclass(frozen=True)
class PageRow:
    """A row: what it is known by, its cells, and what is said below while the cursor is on it."""

    key: str
    cells: tuple[Cell, ...]
    about: Content = field(default_factory=Content, compare=False)

    @property
    def words(self) -> str:
        """Return what the filter looks through."""
        return " ".join([self.key, *(cell.text for cell in self.cells)]).lower()


class ListPage(Page):
    """A list with a line above it and what there is to say of a row below it."""

    CSS_PATH = "list_page.tcss"
    AUTO_FOCUS = "ListTable"
    POLL_SECONDS: ClassVar[float | None] = None  # None: read again only when something was done
    EMPTY: ClassVar[Content] = Content("nothing")
    READING: ClassVar[str] = "reading …"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="page.mark", show=False),
        Binding("slash", "filter", "Filter", id="page.filter", key_display="/", show=False),
    ]

    class Gathered(Message):
        """What the list shows was read."""

        def __init__(self, found: Any) -> None:
            super().__init__()
            self.found = found

    class Done(Message):
        """Something was done, which changes the list; or could not be."""

        def __init__(self, words: str, error: YofoError | None = None) -> None:
            super().__init__()
            self.words, self.error = words, error

    def __init__(self) -> None:
        super().__init__()
        self.found: Any = None
        self._marked: set[str] = set()
        self._rows: list[PageRow] = []
        self._actions = [one.action for one in self.BINDINGS if isinstance(one, Binding)]
        self._offered: list[bool] = []

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        yield Places("runs")
        yield Static(id="heading")
        yield ListTable()
        yield Static(muted(self.READING), id="empty")
        yield Input(placeholder="show only what holds these words", id="filter", compact=True)
        with VerticalScroll(id="below", can_focus=False):
            yield Static(id="about")
        yield KeyLine()

    def on_mount(self) -> None:
        """Read the list, and now and then again."""
        self.query_one("#filter").display = False
        self.query_one(ListTable).display = False
        self.look()
        if self.POLL_SECONDS is not None:
            self.set_interval(self.POLL_SECONDS, self._look_if_idle)

    def gather(self) -> Any:
        """Return what the list shows; in a thread."""
        raise NotImplementedError

    def rows(self, found: Any) -> list[PageRow]:
        """Return the rows."""
        raise NotImplementedError

    def columns(self) -> list[Column]:
        """Return the columns that there is room for."""
        raise NotImplementedError

    def heading(self, found: Any) -> Content:
        """Return the line above the list."""
        raise NotImplementedError

    def _look_if_idle(self) -> None:
        if not self.is_at_work("read"):
            self.look()

    @work(thread=True, exclusive=True, exit_on_error=False, group="read")
    def look(self) -> None:
        """Read the list again."""
        try:
            self.post_message(self.Gathered(self.gather()))
        except Cancelled:  # nobody waits for it
            pass
        except (OSError, YofoError) as error:
            self.post_message(self.Done("", _as_ours(error)))

    def act(self, action: Callable[[], str]) -> None:
        """Do something in a thread; what it returns is told."""
        self._act(action)

    @work(thread=True, exit_on_error=False, group="act")
    def _act(self, action: Callable[[], str]) -> None:
        try:
            self.post_message(self.Done(action()))
        except Cancelled:
            pass
        except (OSError, YofoError) as error:
            self.post_message(self.Done("", _as_ours(error)))

    def ask(self, question: Content, yes: str, action: Callable[[], str]) -> None:
        """Do it if the user agrees."""

        def answered(agreed: bool | None) -> None:
            if agreed:
                self.act(action)

        self.app.push_screen(ConfirmScreen(question, yes), answered)

    def recover(self, group: str, words: str) -> None:
        """Say why there is nothing, while there is nothing."""
        if group == "read" and self.found is None:
            self._say_nothing(safe(words).stylize("$text-error"))

    @on(Done)
    def _done(self, message: Done) -> None:
        if message.error is not None:
            words = f"{message.error.message}\n{message.error.hint}".strip()
            if self.found is None:
                self._say_nothing(safe(words).stylize("$text-error"))
            else:
                self.notify(words, severity="error", markup=False)
            return
        if message.words:
            self.notify(message.words, markup=False)
        self._marked.clear()
        self.look()

    @on(Gathered)
    def _gathered(self, message: Gathered) -> None:
        if message.found != self.found:
            self.found = message.found
            self.draw()

    def draw(self) -> None:
        """Show what was read."""
        if self.found is None:
            return
        self.query_one("#heading", Static).update(self.heading(self.found))
        every = self.rows(self.found)
        words = self.query_one("#filter", Input).value.lower().split()
        self._rows = [row for row in every if all(word in row.words for word in words)]
        self._marked &= {row.key for row in every}
        table = self.query_one(ListTable)
        table.fill(
            [Column(""), *self.columns()],
            [row.key for row in self._rows],
            [[MARK if row.key in self._marked else Cell(" "), *row.cells] for row in self._rows],
        )
        table.display = bool(self._rows)
        self.query_one("#empty").display = not self._rows
        if not self._rows:
            self._say_nothing(self.EMPTY if not every else muted("nothing here has these words"))
        self._show_about()

    def _say_nothing(self, words: Content) -> None:
        self.query_one("#empty", Static).update(words)

    @on(DataTable.RowHighlighted)
    def _show_about(self) -> None:
        row = next((row for row in self._rows if row.key == self.key), None)
        self.query_one("#about", Static).update(row.about if row else "")
        offered = [bool(self.check_action(name, ())) for name in self._actions]
        if offered != self._offered:  # the footer is built anew only when its keys change
            self._offered = offered
            self.refresh_bindings()

    @property
    def key(self) -> str | None:
        """Return what the row under the cursor is known by."""
        found = self.query(ListTable)
        return found.first().selected_key if found else None

    @property
    def chosen(self) -> list[str]:
        """Return the marked rows in their order, or the one under the cursor."""
        marked = [row.key for row in self._rows if row.key in self._marked]
        return marked or ([self.key] if self.key is not None else [])

    def action_mark(self) -> None:
        """Mark the row, or take its mark away; go to the next."""
        if self.key is not None:
            self._marked ^= {self.key}
            self.draw()
            self.query_one(ListTable).action_cursor_down()

    def mark(self, keys: Sequence[str]) -> None:
        """Mark these rows, or, where they are marked, none."""
        self._marked = set() if self._marked == set(keys) else set(keys)
        self.draw()

    def action_filter(self) -> None:
        """Narrow the list by words."""
        box = self.query_one("#filter", Input)
        box.display = True
        self.set_focus(box)

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self.draw()

    @on(Input.Submitted, "#filter")
    def _to_list(self) -> None:
        self.set_focus(self.query_one(ListTable))

    def action_leave(self) -> None:
        """Show everything again, take the marks away, then go back."""
        box = self.query_one("#filter", Input)
        if box.display:
            box.value, box.display = "", False
            self.set_focus(self.query_one(ListTable))
        elif self._marked:
            self._marked.clear()
            self.draw()
        else:
            super().action_leave()

    def on_resize(self) -> None:
        """Show the columns there is room for."""
        self.draw()


def _as_ours(error: Exception) -> YofoError:
    return error if isinstance(error, YofoError) else YofoError(reason(error))


def told(names: Sequence[str], noun: str) -> str:
    """Return what was done something with, in words."""
    return names[0] if len(names) == 1 else f"{len(names)} {noun}"
