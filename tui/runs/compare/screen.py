"""Compare: curves over each other; results, recipes and what each task scored side by side."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from yofo_mlx.errors import YofoError
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.listing import list_runs

from ...shared.chart import Chart
from ...shared.copying import copy
from ...shared.key_line import KeyLine
from ...shared.page import Page
from ...shared.picking import PickingScreen
from ...shared.places import Places
from ...shared.recipes import here
from ...shared.words import MUTED, lines, muted, safe
from ..actions import OpenInPrompt
from . import drawing
from .contender import AXES, Contender, ContenderReader, is_going_on
from .report import markdown, write_report
from .results import best_run, result_rows
from .scoreboard import Scoreboard, scoreboard
from .settings import setting_rows

POLL_SECONDS = 1.0
MOST = 8  # runs
PANES = ("loss", "shots", "results", "settings", "tasks")
TITLES = {
    "loss": "Loss",
    "shots": "Shots",
    "results": "Result",
    "settings": "Recipes",
    "tasks": "Tasks",
}
OF_PANES = {  # what a key changes
    "axis": ("loss",),
    "log": ("loss",),
    "losses": ("loss",),
    "metric": ("shots", "results"),
    "bases": ("shots", "results"),
    "keys": ("settings",),
}
WIDE, TALL = 100, 32  # from which all panes are seen at once


class CompareScreen(Page):
    """Runs side by side; those that go on are followed."""

    HELP = (
        "Each run has a letter and a colour; space takes others. Scores are of evaluations where "
        "all runs have one of the same tasks, else of their last validations; b leaves the base "
        "models out. t changes the axis of the loss between steps, tokens and hours, v between "
        "validation and training; w writes all of it as a report with a picture."
    )

    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "#tables"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "Runs", id="compare.choose", tooltip="Which are compared"),
        Binding("t", "axis", "Axis", id="compare.axis", tooltip="Steps, tokens, hours"),
        Binding("l", "log", "Log", id="compare.log", tooltip="Logarithms of the loss"),
        Binding("v", "losses", "Train/valid", id="compare.losses"),
        Binding("m", "metric", "Metric", id="compare.metric"),
        Binding("b", "bases", "Base", id="compare.bases", tooltip="Beside their base models"),
        Binding("equals_sign", "keys", "All keys", id="compare.keys", key_display="="),
        Binding("p", "prompt", "Prompt", id="compare.prompt", tooltip="With the best of them"),
        Binding("w", "write", "Report", id="compare.write", tooltip="Write it"),
        Binding("y", "copy", "Copy", id="compare.copy", tooltip="The report as Markdown"),
        Binding("left_square_bracket", "pane(-1)", "Pane", id="compare.before", show=False),
        Binding("right_square_bracket", "pane(1)", "Pane", id="compare.next", key_display="[ ]"),
        Binding("j", "tables('scroll_down')", "Down", id="compare.down", show=False),
        Binding("k", "tables('scroll_up')", "Up", id="compare.up", show=False),
        Binding("g", "tables('scroll_home')", "First", id="compare.first", show=False),
        Binding("G", "tables('scroll_end')", "Last", id="compare.last", show=False),
        Binding("ctrl+d", "tables('page_down')", "Page down", id="compare.page_down", show=False),
        Binding("ctrl+u", "tables('page_up')", "Page up", id="compare.page_up", show=False),
    ]

    class Looked(Message):
        """The runs were read, or the first of them."""

        def __init__(self, contenders: list[Contender]) -> None:
            super().__init__()
            self.contenders = contenders

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__()
        self._board = Scoreboard("validation")
        self._axis, self._turn, self._pane = AXES[0], 0, 0
        self._log = self._train = self._every = False
        self._has_bases = True
        self._take(runs)

    def _take(self, runs: Sequence[Run]) -> None:
        self._runs = runs[:MOST]
        self._readers = [ContenderReader(run) for run in self._runs]
        self._more = len(runs) - len(self._runs)
        self._contenders: list[Contender] = []

    def compose(self) -> ComposeResult:
        """Lay out the charts over the tables."""
        yield Places("runs")
        yield Static(muted("reading the runs …"), id="legend")
        yield Static(id="tabs")
        with Horizontal(id="charts"):
            yield Chart("loss", id="loss")
            yield Chart("by shots", id="shots")
        with VerticalScroll(id="tables"):
            for pane in PANES[2:]:
                yield Static(id=pane, classes="table")
            yield Static(id="notes")
        yield KeyLine()

    def on_mount(self) -> None:
        """Read the runs, and again while one of them goes on."""
        titles = ("result", "what differs in the recipes", "by task, at its most shots")
        for pane, title in zip(PANES[2:], titles, strict=True):
            self.query_one(f"#{pane}").border_title = title
        self._read()
        self.set_interval(POLL_SECONDS, self._look)

    def _look(self) -> None:
        idle = not self.is_at_work("compare")
        if idle and is_going_on(self._contenders):
            self._read()

    @work(thread=True, exclusive=True, exit_on_error=False, group="compare")
    def _read(self) -> None:
        worker, found = get_current_worker(), list[Contender]()
        for reader in self._readers:
            found.append(reader.read())
            if worker.is_cancelled:  # others have been chosen
                return
            if len(found) > len(self._contenders):  # the first time, as they are read
                self.post_message(self.Looked([*found]))
        self.post_message(self.Looked(found))

    def recover(self, group: str, words: str) -> None:
        """Say why there is nothing, while there is nothing."""
        if group == "compare" and not self._contenders:
            said = safe(f"The runs cannot be read: {words}").stylize("$text-error")
            self.query_one("#legend", Static).update(said)

    @on(Looked)
    def _looked(self, message: Looked) -> None:
        if message.contenders != self._contenders:
            metrics = self._board.metrics
            self._contenders = message.contenders
            self._draw()
            if self._board.metrics != metrics:  # the footer is built anew only when its keys change
                self.refresh_bindings()

    def on_resize(self) -> None:
        """Show as many panes as there is room for."""
        self._show()

    @property
    def _is_small(self) -> bool:
        return self.size.width < WIDE or self.size.height < TALL

    def _show(self) -> None:
        chosen = PANES[self._pane] if self._is_small else ""
        for pane in PANES:
            self.query_one(f"#{pane}").display = chosen in ("", pane)
        self.query_one("#charts").display = chosen in ("", *PANES[:2])
        self.query_one("#tables").display = chosen not in PANES[:2]
        tabs = self.query_one("#tabs", Static)
        tabs.display = bool(chosen)
        tabs.update(_tabs(chosen))
        if self._contenders:
            self._draw()
        self.refresh_bindings()

    def _draw(self) -> None:
        found, width = self._contenders, self.size.width - 8  # frame, padding, scroll bar
        self._board = scoreboard(found, self._turn)
        if not self._has_bases:
            self._board = replace(self._board, bases=())
        self.query_one("#legend", Static).update(drawing.legend(found, self.size.width - 2))
        self._draw_charts()
        rows = setting_rows([one.recipe for one in found])
        tables = {
            "settings": drawing.setting_table(rows, len(found), width, every=self._every),
            "results": drawing.result_table(result_rows(found, self._board), len(found), width),
            "tasks": drawing.task_table(self._board, len(found), width),
        }
        for pane, table in tables.items():
            self.query_one(f"#{pane}", Static).update(table)
        self.query_one("#notes", Static).update(self._notes())

    def _draw_charts(self) -> None:
        loss, shots = self.query_one("#loss", Chart), self.query_one("#shots", Chart)
        what = "training" if self._train else "validation"
        loss.heading = f"{what} loss by {self._axis}"
        drawn = drawing.loss_lines(self._contenders, self._axis, train=self._train, log=self._log)
        loss.show(*drawn, f"no {what} yet" + ("" if self._train else ": v shows the training loss"))
        shots.heading = f"{safe(self._board.metric or 'scores', 20).plain} by shots"
        shots.show(*drawing.shot_lines(self._board), "no validation by shots yet")
        over = "+ over its own base model" if self._board.bases else ""
        self.query_one("#results").border_subtitle = over
        shots.border_subtitle = f"of the {self._board.source}s"

    def _notes(self) -> Content:
        notes = [Content.assemble(("! ", "$text-warning"), safe(one)) for one in self._board.notes]
        more = f"{self._more} more are marked; {MOST} are compared at a time"
        return lines([*notes, muted(more)] if self._more else notes)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what would change something."""
        if action == "pane":
            return self._is_small
        if action == "metric" and len(self._board.metrics) < 2:
            return False
        if action == "bases" and self._has_bases and not self._board.bases:
            return False
        panes = OF_PANES.get(action, PANES)
        return not self._is_small or PANES[self._pane] in panes

    def action_axis(self) -> None:
        """Draw the loss by steps, tokens or hours."""
        self._axis = AXES[(AXES.index(self._axis) + 1) % len(AXES)]
        self._show()

    def action_log(self) -> None:
        """Draw logarithms, or the loss as it is."""
        self._log = not self._log
        self._show()

    def action_losses(self) -> None:
        """Draw the training or the validation loss."""
        self._train = not self._train
        self._show()

    def action_metric(self) -> None:
        """Show the next metric."""
        self._turn += 1
        self._show()

    def action_bases(self) -> None:
        """Show what the base models score as well, or the runs alone."""
        self._has_bases = not self._has_bases
        self._show()

    @work(thread=True, exclusive=True, exit_on_error=False, group="choose")
    def action_choose(self) -> None:
        """Choose which runs are compared."""
        known = {run.run_id: run for run in (*self._runs, *list_runs())}

        def chosen(names: list[str] | None) -> None:
            if names and names != now:
                self._take([known[name] for name in names])
                self._read()

        now = [run.run_id for run in self._runs]
        screen = PickingScreen("Runs compared", list(known), now, f"{MOST} at most, from the top.")
        self.app.call_from_thread(self.app.push_screen, screen, chosen)

    def action_keys(self) -> None:
        """Show all keys of the recipes, or those that differ."""
        self._every = not self._every
        self._show()

    def action_pane(self, by: int) -> None:
        """Show another pane."""
        self._pane = (self._pane + by) % len(PANES)
        self._show()

    async def action_tables(self, action: str) -> None:
        """Scroll the tables, whether or not they have the focus."""
        await self.query_one("#tables").run_action(action)

    def action_prompt(self) -> None:
        """Open the best of the runs in Prompt."""
        if not self._contenders:
            return
        best = self._contenders[best_run(self._contenders, self._board)].run
        if best.adapter_path.is_dir():
            self.post_message(OpenInPrompt(best))
        else:
            words = f"{best.run_id} has no adapter yet."
            self.notify(words, severity="warning", markup=False)

    def action_copy(self) -> None:
        """Copy the report."""
        copy(self, markdown(self._contenders, self._board) if self._contenders else "", "report")

    def action_write(self) -> None:
        """Write the report into the folder the app was opened in."""
        if self._contenders:
            self._write(self._contenders, self._board, self._axis)

    @work(thread=True, exclusive=True, exit_on_error=False, group="report")
    def _write(self, contenders: list[Contender], board: Scoreboard, axis: str) -> None:
        try:
            path = write_report(here(), contenders, board, axis)
        except YofoError as error:
            words, severity = f"{error.message}\n{error.hint}", "error"
        else:
            words, severity = str(path), "information"
        title = "Report" if severity == "information" else "No report"
        say = self.app.notify
        self.app.call_from_thread(say, words, title=title, severity=severity, markup=False)


def _tabs(chosen: str) -> Content:
    parts = [
        (f" {TITLES[pane]} ", "bold $text-primary reverse" if pane == chosen else MUTED)
        for pane in PANES
    ]
    return Content.assemble(*parts, ("   [ ]", "$text-accent"))
