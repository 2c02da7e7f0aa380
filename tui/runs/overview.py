"""The first tab of a run: its curves, how its scores develop, what it is at now."""

from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from yofo_mlx.runs.folder import ENDED, TROUBLE

from ..shared.chart import Axes, Chart, Line
from ..shared.words import MUTED, percent, safe
from .heat import HeatStrip, tasks_drawn
from .loss import LossChart
from .notes import notes
from .now import NowPanel
from .view import ByShots, RunView

STYLES = ("$text-success", "$text-primary", "$text-warning", "$text-accent")  # of metrics
BEHIND = 3  # earlier validations behind the last one


class Overview(Vertical):
    """Loss, scores by shots and what it is at, side by side; below, how the scores develop."""

    DEFAULT_CSS = """
    Overview {
        #charts { height: 1fr; min-height: 6; }
        #now { width: 40; height: 1fr; padding: 0 1; }
        #develops { height: auto; max-height: 40%; }
        HeatStrip { padding: 0 1; }
        #tasks { width: auto; max-width: 50%; padding: 0 1; }
        #notes { height: auto; max-height: 50%; padding: 0 1; }
        &.-bare #charts { display: none; }
        &.-bare #notes { max-height: 1fr; }
        &.-unmeasured #develops { display: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="overview")
        self._drawn: tuple[Content, Content] | None = None

    def compose(self) -> ComposeResult:
        """Lay out curves, panel, strip and notes."""
        with Horizontal(id="charts"):
            yield LossChart(id="loss")
            yield Chart("by shots", id="shots")
            yield NowPanel(id="now")
        with Horizontal(id="develops"):
            yield HeatStrip(id="heat")
            yield HeatStrip(id="heat-by-task", is_by_task=True)
            yield Static(id="tasks")
        with VerticalScroll(id="notes", can_focus=False):
            yield Static(id="words")

    def follow(self, view: RunView) -> None:
        """Draw a run as it stands."""
        self.set_class(view.status in TROUBLE, "-trouble")
        self.set_class(not view.losses and view.status in ENDED, "-bare")
        self.query_one(LossChart).follow(view)
        show_shots(self.query_one("#shots", Chart), view)
        self.query_one(NowPanel).follow(view)
        self.query_one("#heat", HeatStrip).follow(view)
        self.set_class(not view.validations and not view.tasks, "-unmeasured")
        tasks = self.query_one("#tasks", Static)
        tasks.display = bool(view.tasks)
        by_task = self.query_one("#heat-by-task", HeatStrip)
        by_task.follow(view)
        by_task.display = not view.tasks and any(one.tasks for one in view.validations)
        said = notes(view)
        drawn = tasks_drawn(view.tasks, max(40, self.size.width // 2 - 2), 9)
        if (drawn, said) != self._drawn:  # what is around them is laid out anew
            self._drawn = drawn, said
            tasks.update(drawn)
            self.query_one("#words", Static).update(said)
        self.query_one("#notes").display = bool(said.plain)


def show_shots(chart: Chart, view: RunView) -> None:
    """Draw scores by demonstrations: of the evaluation, else of the last validations."""
    waiting = "no validation" if view.status in ENDED else "measured at the next validation"
    chart.heading = f"{safe(view.metric or 'scores', 20).plain} by shots"
    chart.show(*shots_chart(view), waiting)


def shots_chart(view: RunView) -> tuple[list[Line], Axes]:
    """Return the curves; each is over tasks of its own, so none is joined with another."""
    behind = [] if view.evaluation else _behind(view)
    all_points = [*(curve.points for curve in view.curves), *(points for _, points in behind)]
    places = sorted({shots for points in all_points for shots, _ in points})
    at = {shots: float(i) for i, shots in enumerate(places)}

    def placed(points: ByShots) -> tuple[tuple[float, float], ...]:
        return tuple((at[shots], score) for shots, score in points)

    steps = [str(step) for step, _ in behind]
    drawn = [Line("", placed(points), "$success 45%") for _, points in behind]
    if behind:  # one name for all of them: what is last has to stay in the legend
        name = "step " + "…".join(dict.fromkeys([steps[0], steps[-1]]))
        drawn[0] = replace(drawn[0], name=name)
    for curve in view.curves:
        last = curve.points[-1][1] if curve.points else None
        drawn.append(
            Line(
                safe(curve.name, 40).plain,
                placed(curve.points),
                MUTED if curve.is_base else STYLES[curve.rank % len(STYLES)],
                marked=not curve.aside and not curve.is_base,
                dashed=curve.is_base,
                end="" if curve.aside else percent(last),
            )
        )
    ticks = tuple((at[shots], str(shots)) for shots in places)
    return drawn, Axes(percent, y_range=(0.0, 1.0), ticks=ticks)


def _behind(view: RunView) -> list[tuple[int, ByShots]]:
    """Return a few validations before the last one, from the first on."""
    earlier = [one for one in view.validations[:-1] if one.main]
    step = max(1, -(-len(earlier) // BEHIND))
    return [(one.step, one.main) for one in earlier[::step]]
