"""Runs: all of them, newest first, and the selected one in full."""

from collections.abc import Callable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Footer, Input, Static

from yofo_mlx.errors import YofoError
from yofo_mlx.runs.folder import ENDED, GOING_ON, RESUMABLE, Run, Status
from yofo_mlx.system import paths

from ..shared.confirm import ConfirmScreen
from ..shared.places import Places
from ..shared.recovery import Recovering
from ..shared.words import MUTED, muted, safe
from ..start.screen import FirstStart
from .detail import RunDetail
from .follow import RunView, Watcher
from .starting import resume_detached, start_detached
from .table import ORDERS, RunTable

POLL_SECONDS = 1.0


class RunsScreen(Recovering):
    """The list, the curves, and the keys that start and stop."""

    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "RunTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New run", id="runs.new", tooltip="Start a run from a recipe"),
        Binding("s", "stop", "Stop", id="runs.stop", tooltip="Finish the step, save, end"),
        Binding("c", "resume", "Continue", id="runs.resume", tooltip="From the last checkpoint"),
        Binding("enter,p", "prompt", "Prompt", id="runs.prompt", tooltip="Use the run's adapter"),
        Binding("o", "order", "Order", id="runs.order", tooltip="Newest, lowest loss, best score"),
        Binding("slash", "filter", "Filter", id="runs.filter", key_display="/"),
        Binding("escape", "clear_filter", "All runs", id="runs.clear_filter"),
    ]

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
        self.starter = start_detached
        self.resumer = resume_detached
        self._watcher = Watcher()
        self._views: list[RunView] = []
        self._offered: Status | None = None  # what the footer's keys go by
        self._is_looking = True  # for the first time
        self._trouble = ""  # why that failed
        self._wanted: str | None = None  # a run just started, to be selected once it is listed

    def compose(self) -> ComposeResult:
        """Lay the list out over the selected run."""
        yield Places("runs")
        yield Static(id="empty")
        yield FirstStart()
        yield RunTable()
        yield Input(placeholder="part of an id, a model or a status", id="filter", compact=True)
        yield RunDetail()
        yield Footer()

    def on_mount(self) -> None:
        """Look at the run folders now and then."""
        self.query_one("#filter").display = False
        self.query_one(FirstStart).display = False
        self._show()
        self._look()
        self.set_interval(POLL_SECONDS, self._look)

    def _look(self) -> None:
        looks = [worker for worker in self.workers if worker.group == "poll"]
        if all(worker.is_finished for worker in looks):
            self._poll()

    @work(thread=True, exclusive=True, exit_on_error=False, group="poll")
    def _poll(self) -> None:
        for views in self._watcher.look():
            self.post_message(self.Polled(views))

    @on(Polled)
    def _polled(self, message: Polled) -> None:
        before = {view.run.run_id: view.status for view in self._views}
        self._views, self._is_looking, self._trouble = message.views, False, ""
        if gone := before.keys() - {view.run.run_id for view in self._views}:
            names = ", ".join(sorted(gone)[:3]) + (", …" if len(gone) > 3 else "")
            self.notify(safe(names).plain, title="Gone from the disk", markup=False)
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
        table.show(views, self.size.width)
        if self._wanted is not None and any(v.run.run_id == self._wanted for v in views):
            table.select(self._wanted)
            self._wanted = None
        empty = self.query_one("#empty", Static)
        is_first = not (self._views or self._is_looking or self._trouble)
        empty.display = not (views or is_first)
        empty.update(self._why_empty())
        table.display = bool(views)
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
        first = self.query_one(FirstStart)
        if is_first:
            first.appear()
        elif first.display:
            first.display = False
            self.set_focus(self.query_one(RunTable))

    def _show_detail(self) -> None:
        view = self.selected
        detail = self.query_one(RunDetail)
        detail.display = view is not None
        if view is not None:
            detail.show(view)
        offered = None if view is None else view.status
        if offered != self._offered:
            self._offered = offered  # the footer is built anew only when its keys change
            self.refresh_bindings()

    @property
    def selected(self) -> RunView | None:
        """Return the run under the cursor."""
        run_id = self.query_one(RunTable).selected
        return next((view for view in self._views if view.run.run_id == run_id), None)

    def going_on(self) -> list[str]:
        """Return the runs that go on when the app is closed."""
        return [view.run.run_id for view in self._views if view.status in GOING_ON]

    def _matching(self) -> list[RunView]:
        words = self.query_one("#filter", Input).value.lower().split()
        return [view for view in self._views if all(word in _words(view) for word in words)]

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self._show_detail()

    @on(DataTable.RowSelected)
    def action_prompt(self) -> None:
        """Open the selected run in Prompt."""
        if self.selected is None:
            return
        if self.selected.run.adapter_path.is_dir():
            self.post_message(OpenInPrompt(self.selected.run))
        else:
            words = "It has no adapter yet: one is kept at the first validation and at the end."
            self.notify(words, severity="warning", markup=False)

    def on_resize(self) -> None:
        """Show the columns there is room for."""
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what the selected run allows."""
        if action == "stop":
            return self.selected is not None and self.selected.status == "running"
        if action == "resume":
            return self.selected is not None and self.selected.status in RESUMABLE
        if action == "prompt":
            return self.selected is not None
        if action == "clear_filter":
            return bool(self.query("#filter")) and bool(self.query_one("#filter").display)
        return True

    def action_new(self) -> None:
        """Ask for a recipe and start it."""
        self._ask_for_a_run()

    def _ask_for_a_run(self, again: Run | None = None, why: str = "") -> None:
        from .new import NewRunScreen  # late: recipes' model is slow to import

        self.app.push_screen(NewRunScreen(self.starter, again, why), self._started)

    def _started(self, run: Run | None) -> None:
        if run is not None:
            self._wanted = run.run_id
            self._look()

    def go_to(self, run_id: str) -> None:
        """Select a run, whatever is filtered."""
        self._wanted = run_id
        self.action_clear_filter()
        self._show()

    @work(thread=True, exclusive=True, exit_on_error=False, group="demo")
    def start_demo(self) -> None:
        """Train the embedded model: nothing is downloaded, and a minute is enough."""
        self.app.call_from_thread(self.notify, "Starting the demo …", markup=False)
        try:
            run = self.starter(paths.shipped_recipes() / "tiny.toml", [])
        except (OSError, YofoError) as error:
            words = f"no run was started: {error}"
            self.app.call_from_thread(self.notify, words, severity="error", markup=False)
        else:
            self.app.call_from_thread(self._started, run)

    def action_resume(self) -> None:
        """Go on with the selected run from its last checkpoint; say so where there is none."""
        view = self.selected
        if view is None:
            return
        if view.has_checkpoint:
            self._resume(view.run)
        elif view.status == "failed":
            why = (
                f"{view.run.run_id} failed before its first checkpoint and would fail again in the "
                "same way. Change what has to be changed below, and start it anew."
            )
            self._ask_for_a_run(view.run, why)
        else:
            run_id = safe(view.run.run_id).stylize("bold")
            after = "It ended before its first checkpoint: it begins again at step 0."
            question = Content.assemble("Continue ", run_id, "?\n\n", (after, MUTED))
            self._ask(question, "Begin again", lambda: self._resume(view.run))

    def _ask(self, question: Content, yes: str, act: Callable[[], object]) -> None:
        def answered(agreed: bool | None) -> None:
            if agreed:
                act()

        self.app.push_screen(ConfirmScreen(question, yes), answered)

    @work(thread=True, exclusive=True, exit_on_error=False, group="resume")
    def _resume(self, run: Run) -> None:
        try:
            self.resumer(run)
        except (OSError, YofoError) as error:
            words = f"cannot go on with the run: {error}"
            self.app.call_from_thread(self.notify, words, severity="error", markup=False)

    def action_stop(self) -> None:
        """Ask, then let the run finish its step, save and end."""
        view = self.selected
        if view is None:
            return
        after = "It finishes its step and saves a checkpoint; the key c goes on from there."
        run_id = safe(view.run.run_id).stylize("bold")
        question = Content.assemble("Stop ", run_id, "?\n\n", (after, MUTED))
        self._ask(question, "Stop it", lambda: self._stop(view.run))

    def _stop(self, run: Run) -> None:
        try:
            run.request_stop()
        except OSError as error:
            self.notify(f"cannot ask the run to stop: {error}", severity="error", markup=False)
        self._look()

    def action_order(self) -> None:
        """Order the runs in the next way; a mark in the heading says by which column."""
        table = self.query_one(RunTable)
        table.order = ORDERS[(ORDERS.index(table.order) + 1) % len(ORDERS)]
        self._show()

    def action_filter(self) -> None:
        """Narrow the list by words."""
        box = self.query_one("#filter", Input)
        box.display = True
        self.set_focus(box)
        self.refresh_bindings()

    def action_clear_filter(self) -> None:
        """Show all runs again."""
        box = self.query_one("#filter", Input)
        box.value = ""
        box.display = False
        self.set_focus(self.query_one(RunTable))
        self.refresh_bindings()

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self._show()

    @on(Input.Submitted, "#filter")
    def _to_table(self) -> None:
        self.set_focus(self.query_one(RunTable))


def _words(view: RunView) -> str:
    """Return what the filter looks through."""
    return f"{view.run.run_id} {view.model} {view.status}".lower()


class OpenInPrompt(Message):
    """The user wants to use this run's adapter."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
