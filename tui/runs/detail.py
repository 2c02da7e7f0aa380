"""One run in full: how far, how fast, its curves, and what went wrong."""

import time
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from yofo_mlx.runs.divergence import HINT
from yofo_mlx.runs.events import Event, figure
from yofo_mlx.runs.folder import ENDED, TROUBLE
from yofo_mlx.runs.listing import word
from yofo_mlx.system.quantities import duration, plural

from ..shared.chart import Axes, Chart, Line
from ..shared.curve import smoothed
from ..shared.meter import Meter
from ..shared.words import MUTED, lines, muted, number, percent, safe, status_mark
from .follow import RunView

LAST_WORDS = 5  # lines
STYLES = ("$text-success", "$text-primary", "$text-warning", "$text-accent")  # of metrics


class RunDetail(Vertical):
    """Follows the selected run."""

    DEFAULT_CSS = """
    RunDetail {
        #head { height: auto; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #meters { height: 1; }
        #charts { height: 1fr; min-height: 6; }
        #notes { height: auto; max-height: 50%; padding: 0 1; }
        &.-bare #charts { display: none; }
        &.-bare #notes { max-height: 1fr; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None

    def compose(self) -> ComposeResult:
        """Lay out facts, meters, curves and notes."""
        yield Static(id="head")
        with Horizontal(id="meters"):
            yield Meter(id="whole")
            yield Meter(id="inside")
        with Horizontal(id="charts"):
            yield Chart("loss", id="loss")
            yield Chart("by shots", id="shots")
        with VerticalScroll(id="notes", can_focus=False):
            yield Static(id="words")

    def show(self, view: RunView) -> None:
        """Draw a run as it stands; while nothing has happened, only the clock goes on."""
        if view is self._view and view.status in ENDED:
            return
        head = self.query_one("#head", Static)
        head.update(_head(view), layout=view is not self._view)
        if view is not self._view:
            self._view = view
            self._redraw(view)

    def _redraw(self, view: RunView) -> None:
        self._show_meters(view)
        self.set_class(view.status in TROUBLE, "-trouble")
        self.set_class(not view.losses and view.status in ENDED, "-bare")
        self.query_one("#loss", Chart).show(*_loss_chart(view), "no step yet")
        waiting = "no validation" if view.status in ENDED else "measured at the next validation"
        shots = self.query_one("#shots", Chart)
        shots.heading = f"{safe(view.metric or 'scores', 20).plain} by shots"
        shots.show(*_shots_chart(view), waiting)
        notes = _notes(view)
        self.query_one("#words", Static).update(notes)
        self.query_one("#notes").display = bool(notes.plain)

    def _show_meters(self, view: RunView) -> None:
        left = figure(view.step, "seconds_left")
        going = view.status not in ENDED and left is not None
        after = f"{percent(view.share)}  {duration(left)} left" if going else percent(view.share)
        of = f"/{view.planned}" if view.planned.isdecimal() else ""
        steps = f"step {view.steps_done}{of}" if view.step else ""
        self.query_one("#whole", Meter).show(view.share, steps, after if view.step else "")
        inside = self.query_one("#inside", Meter)
        done, total = figure(view.progress, "done"), figure(view.progress, "total")
        if view.progress is None or view.step is None or done is None or not total:
            inside.show(None, "")
            return
        phase = safe(view.progress.get("phase", "step"), 24).plain
        inside.show(done / total, phase, f"{done:.0f}/{total:.0f}")


def _head(view: RunView) -> Content:
    step = view.step
    facts = [
        f"loss {number(figure(step, 'loss'))}",
        f"best valid {number(view.valid_loss)}",
        f"{number(figure(step, 'tokens_per_s'))} tokens/s",
        _memory(step),
        _shots(step),
        f"lr {number(figure(step, 'lr'))}",
        f"{number(figure(step, 'total_tokens'))} tokens",
    ]
    title = Content.assemble(
        Content.styled(*status_mark(view.status, view.is_diverged)),
        "  ",
        safe(view.run.run_id).stylize("bold"),
        "  ",
        (_model(view.model), MUTED),
        ("" if view.since is None else f"  for {duration(time.time() - view.since)}"),
    )
    if step is None:
        return title if view.status in ENDED else lines([title, muted(_before_first_step(view))])
    return lines([title, " · ".join(f for f in facts if "–" not in f)])


def _before_first_step(view: RunView) -> str:
    """Say what the trainer is at, and for how long, from its start to its first step."""
    event = view.heard
    if event is None:
        return "starting …"
    kind, phase = event["kind"], safe(event.get("phase", ""), 80).plain
    done, total = figure(event, "done"), figure(event, "total")
    if kind == "progress" and done is not None:
        what = f"{phase} {done:,.0f}" + (f" of {total:,.0f}" if total else "")
    else:
        what = {"loading": "loading data and model"}.get(kind, "at the first step")
    began = figure(event, "t")
    return what + (" …" if began is None else f" … {duration(time.time() - began)}")


def _shots(step: Event | None) -> str:
    drawn = step.get("shots") if step is not None else None
    numbers = [n for n in drawn if isinstance(n, int)] if isinstance(drawn, list) else [drawn]
    known = [n for n in numbers if isinstance(n, int)]
    if not known:
        return "–"
    least, most = min(known), max(known)
    return plural(most, "shot") if least == most else f"{least}-{most} shots"


def _memory(step: Event | None) -> str:
    peak, held = figure(step, "peak_gb"), figure(step, "memory_gb")
    said = [f"peak {peak:.2f} GB"] if peak is not None else []
    return ", ".join([*said, f"held {held:.2f} GB"] if held is not None else said) or "–"


def _model(name: str) -> str:
    return safe(Path(name).name if Path(name).is_absolute() else name, 60).plain


def _loss_chart(view: RunView) -> tuple[list[Line], Axes]:
    many = len(view.losses) > 12
    drawn = [
        Line("step", view.losses, MUTED, joined=False) if many else None,
        Line("train", smoothed(view.losses) if many else view.losses, "$text-primary"),
        Line("valid", view.valid_losses, "$text-warning", marked=True),
    ]
    return [line for line in drawn if line is not None], Axes(number, x_format=_step_label)


def _step_label(x: float) -> str:
    return f"step {x:.0f}"


def _shots_chart(view: RunView) -> tuple[list[Line], Axes]:
    """Draw the curves; each is over tasks of its own, so none is joined with another."""
    places = sorted({shots for curve in view.curves for shots, _ in curve.points})
    at = {shots: float(i) for i, shots in enumerate(places)}
    drawn = [
        Line(
            safe(curve.name, 40).plain,
            tuple((at[shots], score) for shots, score in curve.points),
            MUTED if curve.is_base else STYLES[curve.rank % len(STYLES)],
            marked=not curve.aside,
        )
        for curve in view.curves
    ]
    ticks = tuple((at[shots], str(shots)) for shots in places)
    return drawn, Axes(percent, y_range=(0.0, 1.0), ticks=ticks)


def _notes(view: RunView) -> Content:
    said: list[Content] = []
    if view.end is not None and view.end["kind"] == "failed":
        said += [*_trouble(view.end), _go_on(view)]
    elif view.status == "died":
        said += _death(view)
    elif view.end is not None and view.end["kind"] == "stopped":
        said.append(safe(f"Stopped: {view.end.get('reason', 'asked to')}. ") + _go_on(view))
    if view.is_diverged:
        said += _diverged(view)
    if words := _own_words(view):
        said.append(muted("last words of the console:"))
        said += [Content("  ") + safe(line, 400) for line in words[-LAST_WORDS:]]
    if view.is_edited:
        said.append(muted("its recipe.toml was edited since: what was trained counts"))
    shown = view.warnings[-2:]
    if len(view.warnings) > len(shown):
        said.append(muted(f"{plural(len(view.warnings), 'warning')}, the last:"))
    for warning in shown:
        said.append(Content.styled("! ", "$text-warning") + _joined(warning))
    return lines(said)


def _diverged(view: RunView) -> list[Content]:
    first, last = view.losses[0][1], view.losses[-1][1]
    state = "Finished, but diverged" if view.status == "finished" else "Diverged"
    said = f"{state}: the loss went from {number(first)} to {number(last)}."
    return [Content.styled(said, "$text-error"), safe(f"{HINT[0].upper()}{HINT[1:]}.")]


def _own_words(view: RunView) -> list[str]:
    """Return what the console says that the run's last event has not said already."""
    end = view.end or {}
    said = [
        text for text in (end.get("message"), end.get("hint")) if isinstance(text, str) and text
    ]
    return [line for line in view.console if not any(text in line for text in said)]


def _go_on(view: RunView) -> Content:
    """Say what the key c does with a run that ended."""
    key = ("c", "bold $text-accent")
    if view.has_checkpoint:
        rest = f" (or `yofo resume {word(view.run)}`)."
        return Content.assemble("Go on from the last checkpoint with ", key, safe(rest))
    if view.status == "failed":
        return Content.assemble("Start anew with other settings with ", key, ".")
    return Content.assemble("There is no checkpoint yet: begin again at step 0 with ", key, ".")


def _death(view: RunView) -> list[Content]:
    words = view.death.message if view.death else "it ended without a word"
    said = [Content.styled(f"The trainer died: {words}.", "$text-error"), _go_on(view)]
    return [*said, muted(view.death.hint)] if view.death else said


def _trouble(event: Event) -> list[Content]:
    message = safe(event.get("message", "failed without a word")).stylize("$text-error")
    return [message, safe(event["hint"])] if event.get("hint") else [message]


def _joined(event: Event) -> Content:
    hint = event.get("hint")
    return safe(f"{event.get('message', '')}" + (f" ({hint})" if hint else ""), 400)
