"""Runs: all of them, ranked, and the selected one in full."""

import operator
import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from yofo_mlx.runs.folder import ENDED, GOING_ON, Run, Status

from ..shared.choices import Choices
from ..shared.key_line import KeyLine
from ..shared.places import Places
from ..shared.words import muted, safe
from ..start.screen import FirstStart
from .actions import OpenInPrompt
from .arranging import PART, Arranging
from .detail import RunDetail
from .follow import Watcher
from .pages import compare_page, page
from .table import ORDERS, Order, RunTable
from .view import RunView

__all__ = ["OpenInPrompt", "RunsScreen"]

POLL_SECONDS = 1.0


class RunsScreen(Arranging):
    """The list, the selected run, and the keys for both."""

    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "RunTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New run", id="runs.new", tooltip="Start a run from a recipe"),
        Binding("s", "stop", "Stop", id="runs.stop", tooltip="Finish the step, save, end"),
        Binding("c", "resume", "Continue", id="runs.resume", tooltip="From the last checkpoint"),
        Binding("f", "fix", "Fix", id="runs.fix", tooltip="Start anew with what would have helped"),
        Binding("e", "evaluate", "Evaluate", id="runs.evaluate", tooltip="Base against adapter"),
        Binding("p", "prompt", "Prompt", id="runs.prompt", tooltip="Use the run's adapter"),
        Binding("enter", "full", "Open", id="runs.open", tooltip="The run alone, and back"),
        Binding(
            "left_square_bracket", "tab(-1)", "Tab before", id="runs.tab_before",
            key_display="[", show=False,
        ),
        Binding(
            "right_square_bracket", "tab(1)", "Tab", id="runs.tab", key_display="[ ]",
            tooltip="Curves, validations, samples, console, recipe",
        ),
        Binding("space", "mark", "Mark", id="runs.mark", tooltip="For = and D", show=False),
        Binding(
            "equals_sign", "compare", "Compare", id="runs.compare", key_display="=",
            tooltip="The marked runs, or this one and the next",
        ),
        Binding("slash", "filter", "Filter", id="runs.filter", key_display="/"),
        Binding("o", "order", "Order", id="runs.order", tooltip="By the next column"),
        Binding("O", "turn_order", "Turn the order", id="runs.turn_order", show=False),
        Binding("C", "columns", "Columns", id="runs.columns", show=False),
        Binding("escape", "back", "Back", id="runs.back", tooltip="All runs, the list again"),
        Binding("R", "rename", "Name", id="runs.rename", tooltip="And a note", show=False),
        Binding("y", "copy", "Copy the path", id="runs.copy", show=False),
        Binding("D", "trash", "To the trash", id="runs.trash", show=False),
        Binding("u", "undo", "Undo", id="runs.undo", tooltip="Bring back from the trash"),
        Binding("plus", "smooth(1)", "Smoother", id="runs.smoother", key_display="+", show=False),
        Binding("minus", "smooth(-1)", "Rougher", id="runs.rougher", key_display="-", show=False),
        Binding("l", "scale", "Log scale", id="runs.scale", tooltip="Of the loss", show=False),
        Binding("z", "zoom", "Zoom", id="runs.zoom", tooltip="The end of the curve", show=False),
        Binding("left", "cursor(-1)", "Cursor", id="runs.cursor_left", show=False),
        Binding("right", "cursor(1)", "Cursor", id="runs.cursor_right", show=False),
        Binding("t", "strip", "By task", id="runs.strip", tooltip="Or by shots", show=False),
        Binding("Q", "page('queue')", "Queue", id="runs.queue", show=False),
        Binding("K", "page('disk')", "Disk", id="runs.disk", show=False),
        Binding("M", "page('models')", "Models", id="runs.models", show=False),
    ]  # fmt: skip

    class Polled(Message):
        """The run folders were read."""

        def __init__(self, views: list[RunView]) -> None:
            super().__init__()
            self.views = views

        def can_replace(self, message: Message) -> bool:
            """Only the last look counts."""
            return isinstance(message, RunsScreen.Polled)

    def __init__(self) -> None:
        super().__init__()
        self._watcher = Watcher()
        self._views: list[RunView] = []
        self._marked: set[str] = set()
        self._offered: tuple[Status, bool] | None = None  # what the footer's keys go by
        self._is_looking = True  # for the first time
        self._trouble = ""  # why that failed
        self._day = time.localtime()[:3]

    def compose(self) -> ComposeResult:
        """Lay the list out over the selected run."""
        yield Places("runs")
        yield Static(id="empty")
        yield RunTable()
        yield Input(
            placeholder="part of a name, a model, a status, a task, or of a key=value",
            id="filter",
            compact=True,
        )
        yield RunDetail()
        yield KeyLine()

    def on_mount(self) -> None:
        """Look at the run folders now and then."""
        self.query_one("#filter").display = False
        heading = self._choices.get(PART, "order", "")
        if heading in ORDERS:
            is_reversed = self._choices.get(PART, "reversed", False)
            self.query_one(RunTable).order = Order(heading, is_reversed)
        if chosen := self._choices.get(PART, "columns", []):
            self.query_one(RunTable).chosen = [str(one) for one in chosen]
        self._show()
        self.call_after_refresh(self.look)  # not before the first frame
        self.set_interval(POLL_SECONDS, self.look)

    @property
    def _choices(self) -> Choices:
        choices: Choices = self.app.choices  # type: ignore[attr-defined]
        return choices

    def look(self) -> None:
        """Look at the run folders, unless somebody is at it."""
        if (today := time.localtime()[:3]) != self._day:  # moments are told by it
            self._day = today
            self._show()
        if not self.is_at_work("poll"):
            self._poll()

    @work(thread=True, exclusive=True, exit_on_error=False, group="poll")
    def _poll(self) -> None:
        for views in self._watcher.look():
            if self._is_looking or is_news(views, self._views):
                self.post_message(self.Polled(views))

    @on(Polled)
    def _polled(self, message: Polled) -> None:
        before = {view.run.run_id: view.status for view in self._views}
        self._views, self._is_looking, self._trouble = message.views, False, ""
        now = {view.run.run_id for view in self._views}
        if gone := before.keys() - now - self._leaving:
            names = ", ".join(sorted(gone)[:3]) + (", …" if len(gone) > 3 else "")
            self.notify(safe(names).plain, title="Gone from the disk", markup=False)
        self._leaving &= now
        self._marked &= now
        for view in message.views:
            if before.get(view.run.run_id, view.status) not in ENDED and view.status in ENDED:
                self._announce(view)
        self._show()

    def recover(self, group: str, words: str) -> None:
        """Say why there is no list, while there is none."""
        if group == "poll" and self._is_looking:
            self._trouble = words
            self._show()

    def _announce(self, view: RunView) -> None:
        good = view.status == "finished" and not view.is_diverged
        self.notify(
            safe(view.run.run_id).plain,
            title=f"Run {view.status}" + (", but diverged" if view.is_diverged else ""),
            severity="information" if good else "warning",
            markup=False,
        )

    def _show(self) -> None:
        views = self._matching()
        table = self.query_one(RunTable)
        table.show(views, self.size.width, frozenset(self._marked))
        if self._wanted is not None and any(v.run.run_id == self._wanted for v in views):
            table.select(self._wanted)
            self._wanted = None
        empty = self.query_one("#empty", Static)
        is_first = not (self._views or self._is_looking or self._trouble)
        empty.display = not (views or is_first)
        if empty.display:  # what is said is laid out anew
            empty.update(self._why_empty())
        table.display = bool(views) and not self.has_class("-full")
        self._offer_first_steps(is_first)
        self._show_detail()

    def _why_empty(self) -> Content:
        if self._trouble:
            said = (
                f"The runs cannot be looked at: {self._trouble}\n\nIt is tried again every second."
            )
            return safe(said).stylize("$text-error")
        if self._is_looking:
            return muted("looking for runs …")
        words = safe(self.query_one("#filter", Input).value, 60).stylize("bold")
        return Content.assemble(
            "No run has ", words, ". Press ", ("escape", "$text-accent"), " to see all."
        )

    def _offer_first_steps(self, is_first: bool) -> None:
        first = next(iter(self.query(FirstStart)), None)  # made where there is no run
        if is_first is not (first is not None and first.display):
            self.refresh_bindings()
        if is_first and first is None:
            self.mount(FirstStart(), after="#empty")
        elif is_first and first is not None:
            first.appear()
        elif first is not None and first.display:
            first.display = False
            self.set_focus(self.query_one(RunTable))

    def tell_start(self, words: str) -> None:
        """Say on the first start what has begun."""
        for first in self.query(FirstStart):
            first.tell_start(words)

    def go_to(self, run_id: str) -> None:
        """Select a run, whatever is filtered."""
        self._wanted = run_id
        self.query_one("#filter", Input).value = ""
        self._show()

    def _show_detail(self) -> None:
        view = self.selected
        self._watcher.attended = view.run if view is not None else None
        detail = self.query_one(RunDetail)
        detail.display = view is not None
        if view is not None:
            detail.show(view)
        offered = None if view is None else (view.status, view.best is not None)
        if offered != self._offered:
            self._offered = offered  # the footer is built anew only when its keys change
            self.refresh_bindings()

    @property
    def selected(self) -> RunView | None:
        """Return the run under the cursor."""
        run_id = self.query_one(RunTable).selected
        return next((view for view in self._views if view.run.run_id == run_id), None)

    @property
    def chosen(self) -> list[RunView]:
        """Return the marked runs in the list's order, or the one under the cursor."""
        marked = [view for view in self._views if view.run.run_id in self._marked]
        return marked or ([self.selected] if self.selected else [])

    def going_on(self) -> list[str]:
        """Return the runs that go on when the app is closed."""
        return [view.run.run_id for view in self._views if view.status in GOING_ON]

    def _matching(self) -> list[RunView]:
        words = self.query_one("#filter", Input).value.lower().split()
        return [view for view in self._views if all(word in _words(view) for word in words)]

    @on(DataTable.RowHighlighted, "RunTable")
    def _moved(self) -> None:
        self.call_after_refresh(self._show_detail)  # the cursor comes first

    @on(DataTable.RowSelected)
    def action_full(self) -> None:
        """Give the selected run the whole place, or the list its part of it again."""
        if self.selected is not None:
            self.toggle_class("-full")
            self._show()
            if self.has_class("-full"):
                self.query_one(RunDetail).focus_tab()
            else:
                self.set_focus(self.query_one(RunTable))
            self.refresh_bindings()

    def on_resize(self) -> None:
        """Show the columns there is room for."""
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what the selected run allows."""
        if action in ("stop", "resume", "fix", "evaluate", "prompt", "undo"):
            return bool(self.query(RunTable)) and self.may(action)
        if action == "back":
            is_narrowed = bool(self.query("#filter")) and bool(self.query_one("#filter").display)
            return is_narrowed or self.has_class("-full") or bool(self._marked)
        if action in ("order", "filter", "compare", "tab"):
            return bool(self._views)
        return True

    def action_mark(self) -> None:
        """Mark the selected run, or take its mark away; go to the next."""
        view, table = self.selected, self.query_one(RunTable)
        if view is not None:
            self._marked ^= {view.run.run_id}
            self._show()
            table.action_cursor_down()
            self.refresh_bindings()

    def action_compare(self) -> None:
        """Compare the marked runs, or the selected one with its neighbour in the list."""
        runs = [view.run for view in self.chosen]
        if len(runs) == 1:
            shown = [view.run for view in self.query_one(RunTable).order.sorted(self._views)]
            at = shown.index(runs[0])
            runs += [*shown[at + 1 :], *reversed(shown[:at])][:1]
        if runs:
            self.app.push_screen(compare_page(runs))

    def action_page(self, name: str) -> None:
        """Open a page of this place."""
        self.app.push_screen(page(name), self._led_to)

    def _led_to(self, run: Run | None) -> None:
        """Select the run that a page led to, which may just have been started."""
        if run is not None:
            self.go_to(run.run_id)
            self.look()

    def draw(self) -> None:
        """Show the list as it is laid out now."""
        self._show()

    def action_filter(self) -> None:
        """Narrow the list by words."""
        self.remove_class("-full")
        self._show()
        box = self.query_one("#filter", Input)
        box.display = True
        self.set_focus(box)
        self.refresh_bindings()

    def action_back(self) -> None:
        """Show the list again, then all runs, then none marked."""
        box = self.query_one("#filter", Input)
        if self.has_class("-full"):
            self.remove_class("-full")
        elif box.display:
            box.value = ""
            box.display = False
        else:
            self._marked.clear()
        self._show()
        self.set_focus(self.query_one(RunTable))
        self.refresh_bindings()

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self._show()

    @on(Input.Submitted, "#filter")
    def _to_table(self) -> None:
        self.set_focus(self.query_one(RunTable))

    async def action_tab(self, by: int) -> None:
        """Open the next tab of the selected run."""
        detail = self.query_one(RunDetail)
        await detail.turn(by)
        if self.has_class("-full"):
            detail.focus_tab()

    def action_smooth(self, by: int) -> None:
        """Smooth the loss more, or less."""
        for chart in self.query_one(RunDetail).charts:
            chart.smooth(by)

    def action_scale(self) -> None:
        """Change the loss between a linear and a logarithmic scale."""
        for chart in self.query_one(RunDetail).charts:
            chart.change_scale()

    def action_zoom(self) -> None:
        """Show a shorter stretch of the loss."""
        for chart in self.query_one(RunDetail).charts:
            chart.zoom()

    def action_cursor(self, by: int) -> None:
        """Move the cursor of the loss."""
        for chart in self.query_one(RunDetail).charts:
            chart.move_cursor(by)

    def action_strip(self) -> None:
        """Show how scores develop by task, or by shots."""
        self.query_one(RunDetail).turn_strip()


def is_news(views: Sequence[RunView], before: Sequence[RunView]) -> bool:
    """Tell whether there is something to draw: a clock, too, where a run is still to end."""
    is_same = len(views) == len(before) and all(map(operator.is_, views, before))
    return not is_same or any(view.status not in ENDED for view in views)


def _words(view: RunView) -> str:
    """Return what the filter looks through."""
    made = view.made
    found = f"{view.run.run_id} {view.model} {view.status} {made.note} {made.keys}"
    return f"{found} {'diverged' if view.is_diverged else ''}".lower()
