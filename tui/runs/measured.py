"""Tabs of what was measured: scores by shots and step in full, every validation, the samples."""

from itertools import pairwise
from typing import Final

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from yofo_mlx.runs.events import Event, figure

from ..shared.blocks import bar
from ..shared.chart import Chart
from ..shared.clock import moment
from ..shared.table import Cell, Column, ListTable
from ..shared.words import MUTED, lines, muted, number, one_line, percent, safe
from .heat import HeatStrip, tasks_drawn
from .overview import show_shots
from .view import RunView

RIGHT: Final = 0.999  # score from which an answer counts as right
MOST_TASKS: Final = 60


class ShotsTab(VerticalScroll):
    """Scores by shots as curves, by step as shades, and what each task came to."""

    HELP = (
        "On top how the scores developed: a row for each number of demonstrations, a column for "
        "each validation. Below, where the key e has measured them, all held-out tasks against the "
        "base model. A curve is over the same tasks at each of its points."
    )

    DEFAULT_CSS = """
    ShotsTab {
        padding: 0 1;
        #all-shots { height: 14; padding: 0; }
        HeatStrip { margin-top: 1; }
        #all-tasks { margin-top: 1; height: auto; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="shots-tab")

    def compose(self) -> ComposeResult:
        """Lay the pictures out."""
        yield HeatStrip()
        yield Static(id="all-tasks")
        yield Chart("by shots", id="all-shots")

    def follow(self, view: RunView) -> None:
        """Draw a run."""
        self.query_one(HeatStrip).follow(view)
        width = max(40, self.size.width - 4)
        drawn = tasks_drawn(view.tasks, width, MOST_TASKS) if view.tasks else _unmeasured(view)
        self.query_one("#all-tasks", Static).update(drawn)
        show_shots(self.query_one(Chart), view)


def _unmeasured(view: RunView) -> Content:
    """Say how all held-out tasks are measured, and from when on."""
    since = "" if view.is_measurable else ", once it has validated"
    return muted(f"The key e measures base and adapter on every held-out task{since}.")


class ValidationsTab(ListTable):
    """A row for each validation, the newest first."""

    HELP = (
        "A validation asks a few held-out tasks and takes their loss. ◆ is the best one so far, "
        "whose adapter is kept; at 4 is the score with 4 demonstrations before the query."
    )

    def __init__(self) -> None:
        super().__init__()
        self.id = "validations-tab"

    def follow(self, view: RunView) -> None:
        """List the validations of a run."""
        shots = sorted({n for one in view.validations for n, _ in one.main})
        columns = [Column("step", True), Column("when"), Column("loss", True), Column("")]
        columns += [Column(f"at {n}", True) for n in shots]
        columns += [Column(safe(name, 16).plain, True) for name in _others(view)]
        rows = []
        for one in reversed(view.validations):
            scores = dict(one.main)
            best = Cell("◆ best", "$text-warning") if one.is_best else Cell("")
            when = Cell("–" if one.when is None else moment(one.when))
            row = [Cell(str(one.step)), when, Cell(number(one.loss)), best]
            row += [Cell(percent(scores.get(n))) for n in shots]
            for name in _others(view):
                points = one.scores.get(name, ())
                row.append(Cell(f"{percent(points[-1][1])} @{points[-1][0]}" if points else "–"))
            rows.append(row)
        self.fill(columns, [str(one.step) for one in reversed(view.validations)], rows)


def _others(view: RunView) -> list[str]:
    """Return the metrics beside the first one."""
    names = dict.fromkeys(name for one in view.validations for name in one.scores)
    return list(names)[1:]


class SamplesTab(VerticalScroll):
    """The same queries, and what was answered at each validation."""

    HELP = (
        "At each validation the same queries are asked with the most demonstrations and the "
        "answers kept: one reads from top to bottom what the run has learnt to say."
    )
    DEFAULT_CSS = "SamplesTab { padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__(id="samples-tab")
        self._shown: tuple[Event, ...] | None = None

    def compose(self) -> ComposeResult:
        """Leave room for the answers."""
        yield Static()

    def follow(self, view: RunView) -> None:
        """Show the samples of a run."""
        if view.samples != self._shown:
            self._shown = view.samples
            self.query_one(Static).update(_samples(view))


def _samples(view: RunView) -> Content:
    """Return each query with its answers, the newest answer first."""
    if not view.samples:
        words = "No answer was written out yet: that is at each validation, as many as "
        return Content.assemble((words, MUTED), ("evaluation.samples", "$text-accent"))
    asked: dict[tuple[str, str], list[Event]] = {}
    for sample in view.samples:
        asked.setdefault((str(sample.get("task")), str(sample.get("input"))), []).append(sample)
    said: list[Content] = []
    for (task, query), answers in asked.items():
        last = answers[-1]
        shots = figure(last, "shots")
        said += [
            Content.assemble(("» ", "$text-accent"), one_line(query, 300).stylize("bold")),
            muted(
                f"  {one_line(task, 60).plain}" + ("" if shots is None else f" · {shots:.0f} shots")
            ),
            Content.assemble(("  expected   ", MUTED), one_line(last.get("expected", ""), 300)),
        ]
        said += [_answer(answer) for answer in reversed(answers)]
        said.append(Content(""))
    return lines(said)


def _answer(sample: Event) -> Content:
    score, step = figure(sample, "score"), figure(sample, "step")
    is_right = score is not None and score >= RIGHT
    sign = ("✓", "$text-success") if is_right else ("✗", "$text-warning")
    if score is not None and 0 < score < RIGHT:
        sign = ("~", "$text-warning")
    at = "" if step is None else f"step {step:.0f}"
    return Content.assemble(
        "  ", sign, (f" {at:<9}", MUTED), one_line(sample.get("answer", ""), 300)
    )


class EpisodesTab(Vertical):
    """What the last steps were made of: how many demonstrations, how many tokens."""

    HELP = (
        "The bars count the episodes of the whole run by how many demonstrations they held. Below "
        "are the last steps: targets are the tokens that were trained on, gradient is its norm "
        "before it was clipped."
    )

    DEFAULT_CSS = """
    EpisodesTab {
        #drawn { height: auto; padding: 0 1 1 1; }
        ListTable { height: 1fr; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="episodes-tab")

    def compose(self) -> ComposeResult:
        """Lay the picture over the list."""
        yield Static(id="drawn")
        with Horizontal():
            yield ListTable()

    def follow(self, view: RunView) -> None:
        """Show what a run was made of."""
        self.query_one("#drawn", Static).update(_drawn(view, self.size.width))
        columns = [
            Column("step", True),
            Column("shots of its episodes"),
            Column("tokens", True),
            Column("targets", True),
            Column("loss", True),
            Column("gradient", True),
        ]
        steps = list(reversed(view.steps))
        rows = [
            [
                Cell(_count(step, "step")),
                Cell(_shots(step)),
                Cell(_count(step, "tokens")),
                Cell(_count(step, "targets")),
                Cell(number(figure(step, "loss"))),
                Cell(number(figure(step, "grad_norm"))),
            ]
            for step in steps
        ]
        self.query_one(ListTable).fill(columns, [str(n) for n in range(len(rows))], rows)


def _shots(step: Event) -> str:
    drawn = step.get("shots")
    known = [str(n) for n in drawn if type(n) is int] if isinstance(drawn, list) else []
    return ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def _count(step: Event, field: str) -> str:
    value = figure(step, field)
    return "–" if value is None else f"{value:,.0f}"


def _drawn(view: RunView, width: int) -> Content:
    """Return how often so many demonstrations were drawn, as bars."""
    if not view.shots:
        return muted("no episode yet")
    least, most = min(view.shots), max(view.shots)
    stretches = min(8, most - least + 1)
    bounds = [least + (most - least + 1) * n // stretches for n in range(stretches + 1)]
    counts = [
        sum(count for n, count in view.shots.items() if low <= n < high)
        for low, high in pairwise(bounds)
    ]
    said = [Content.styled(f"{sum(counts):,} episodes by their demonstrations", "bold")]
    for (low, high), count in zip(pairwise(bounds), counts, strict=True):
        name = str(low) if high == low + 1 else f"{low}–{high - 1}"
        cells = bar(count / max(counts), max(8, min(60, width - 24)))
        said.append(
            Content.assemble((f"{name:>9} ", MUTED), (cells, "$text-success"), f" {count:,}")
        )
    return lines(said)
