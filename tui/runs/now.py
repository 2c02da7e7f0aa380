"""What a run is at now: how far, how fast, when it will be done, whether the memory holds."""

import time
from typing import Any, Final

from textual.content import Content
from textual.widget import Widget

from yofo_mlx.runs.events import Event, figure
from yofo_mlx.runs.folder import ENDED
from yofo_mlx.system.quantities import age, duration, plural

from ..shared.blocks import bar, spark
from ..shared.clock import moment
from ..shared.words import MUTED, lines, number, percent, safe
from .view import RunView

LABEL: Final = 9  # columns of the words before the bars
NARROW: Final = 34  # columns of a panel in which words are short
NARROW_LABEL: Final = 7
HIGH: Final = 0.95  # share of the limit from which it is told in red
Part = Content | str | tuple[str, str]
Told = tuple[Any, ...]  # a label, and the parts of a line


class NowPanel(Widget):
    """Bars, sparks and numbers of the selected run."""

    HELP = (
        "The memory bar ends at the limit; ┆ is what the longest step was planned to take. Green "
        "is under the plan, amber above it, red over 95 % of the limit. Process is all that it "
        "takes: Python, data and what was freed, too."
    )
    DEFAULT_CSS = "NowPanel { text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._view: RunView | None = None

    def follow(self, view: RunView) -> None:
        """Tell how a run stands."""
        self._view = view
        self.refresh()  # its size is given

    def render(self) -> Content:
        """Draw for the room there is, however it came to be."""
        return told(self._view, *self.content_size) if self._view else Content()


def told(view: RunView, width: int, height: int) -> Content:
    """Return what there is to tell in so many cells; the last lines are left out first."""
    if view.step is None:
        return Content()
    label = NARROW_LABEL if width < NARROW else LABEL
    room = max(8, width - label)
    said = [*_inside(view, room), *_whole(view, room), *_memory(view, room), *_pace(view, room)]
    said += [*_learning(view, room), *_next(view)]
    if height >= len(said) + 5:
        said += _by_shots(view, width)
    return lines(
        Content.assemble((f"{name:<{label}}", MUTED), *parts)
        for name, *parts in said[: max(1, height)]
    )


def _line(label: str, *parts: Part) -> Told:
    return (label, *parts)


def _wrapped(words: list[str], room: int) -> list[Told]:
    """Join words on as many lines as they need."""
    rows: list[str] = []
    for word in words:
        joined = f"{rows[-1]} · {word}" if rows else word
        rows[-1:] = [joined] if len(joined) <= room else [*rows[-1:], word]
    return [_line("", row) for row in rows]


def _gauge(share: float, room: int, style: str, plan: float | None = None) -> list[Part]:
    """Return a bar with its share behind it, and a mark where the plan ends."""
    width = max(4, room - 7)
    cells = bar(share, width)
    parts: list[Part] = [("▕", MUTED), (cells, style), ("▏", MUTED)]
    if plan is not None and 0 < plan < 1:
        at = min(int(plan * width), width - 1)
        mark: Part = ("┆", "$foreground" if cells[at] == " " else f"$background on {style}")
        parts = [("▕", MUTED), (cells[:at], style), mark, (cells[at + 1 :], style), ("▏", MUTED)]
    return [*parts, f"{percent(share):>5}"]


def _inside(view: RunView, room: int) -> list[Told]:
    """Tell how far the step or validation is that goes on."""
    event = view.progress
    done, total = figure(event, "done"), figure(event, "total")
    if event is None or done is None or not total:
        return []
    phase = safe(event.get("phase", "step"), 24).plain
    took = figure(event, "t")
    since = "" if took is None or room < 28 else f" · {duration(time.time() - took)} ago"
    is_step = phase in ("forward", "backward")
    first = _line("step" if is_step else "now", *_gauge(done / total, room, "$primary"))
    return [first, _line("", f"{phase} {done:.0f}/{total:.0f}", (since, MUTED))]


def _whole(view: RunView, room: int) -> list[Told]:
    of = f" of {int(view.planned):,}" if view.planned.isdecimal() else ""
    said = [] if view.share is None else [_line("run", *_gauge(view.share, room, "$primary"))]
    steps = f"step {view.steps_done:,}{of}"
    left = figure(view.step, "seconds_left")
    if view.status in ENDED or left is None:
        took = figure(view.end, "seconds")
        end = figure(view.end, "t")
        more = [f"took {duration(took)}"] if took is not None else []
        more += [f"ended {moment(end)}"] if end is not None and not more else []
        return [*said, *_wrapped([steps, *more], room)]
    ends = f"ends {moment(time.time() + left)}"
    ends = ends if room < 28 else f"{duration(left)} left · {ends}"
    return [*said, _line("", steps), _line("", ends)]


def _memory(view: RunView, room: int) -> list[Told]:
    """Tell the most that was used against the limit, and what was planned."""
    # Not `memory_gb`: what is only cached gives way, and no plan counts it.
    used = figure(view.step, "peak_gb")
    if used is None:
        return []
    limit, model = figure(view.plan, "limit_gb"), figure(view.plan, "model_gb")
    step = figure(view.plan, "step_gb")
    plan = None if model is None or step is None else model + step
    of = f" of {limit:.0f}" if limit and limit >= 10 else f" of {limit:.2g}" if limit else ""
    words = f"peak {_gb(used)}{of} GB"
    if not limit:
        return [_line("memory", words)]
    planned = [f"plan {_gb(plan)}"] if plan is not None and room >= 28 else []
    whole = figure(view.step, "footprint_gb")
    planned += [f"process {_gb(whole)}"] if whole is not None and room >= 28 else []
    style = "$text-success"
    if plan is not None and used > plan:
        style = "$text-warning"
    if used > HIGH * limit:
        style = "$text-error"
    share = None if plan is None else plan / limit
    gauge = _line("memory", *_gauge(used / limit, room, style, share))
    return [gauge, *_wrapped([words, *planned], room)]


def _gb(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _pace(view: RunView, room: int) -> list[Told]:
    said = []
    if view.speeds:
        now = number(figure(view.step, "tokens_per_s"))
        bars = spark([value for _, value in view.speeds], max(4, min(20, room - 6)))
        said.append(_line("tok/s", (bars, "$text-success"), f" {now}"))
    if view.shots:
        least, most = min(view.shots), max(view.shots)
        mean = sum(n * count for n, count in view.shots.items()) / sum(view.shots.values())
        words = f" {least}–{most}, mean {mean:.0f}" if most > least else f" always {least}"
        width = max(0, min(12, room - len(words), most - least + 1))
        bars = spark(_spread(view.shots, width), width) if width > 3 else ""
        said.append(_line("shots", (bars, "$text-success"), words if bars else words.strip()))
    return said


def _spread(shots: dict[int, int], width: int) -> list[float]:
    """Return how many episodes there were, in so many stretches of their shots."""
    least, most = min(shots), max(shots)
    found = [0.0] * width
    for n, count in shots.items():
        found[min(width - 1, (n - least) * width // (most - least + 1))] += count
    return found


def _learning(view: RunView, room: int) -> list[Told]:
    rate, norm = figure(view.step, "lr"), figure(view.step, "grad_norm")
    if rate is None:
        return []
    beside = 20 if norm is not None and room >= 28 else 9  # columns of what is behind the bars
    bars = spark([value for _, value in view.rates], min(10, room - beside))
    parts: list[Part] = [(bars, "$text-success"), f" {number(rate)}"]
    said = [_line("lr", *parts)]
    if norm is not None and room >= 28:
        said = [_line("lr", *parts, (" · grad ", MUTED), number(norm))]
    if norm is not None and room < 28:
        said.append(_line("grad", number(norm)))
    return said


def _next(view: RunView) -> list[Told]:
    """Tell when the next validation is, and what was saved last."""
    said = []
    if view.best is not None:
        step, loss = figure(view.best, "step"), figure(view.best, "loss")
        words = f"{number(loss)}" + ("" if step is None else f" at step {step:.0f}")
        said.append(_line("best", ("◆ ", "$text-warning"), words))
    if (every := view.made.eval_every) and view.status not in ENDED:
        ahead = every - view.steps_done % every
        paces = _seconds_a_step(view.steps)
        when = "" if paces is None else f" · {moment(time.time() + ahead * paces)}"
        said.append(_line("valid", f"in {plural(ahead, 'step')}{when}"))
    saved, at = figure(view.checkpoint, "step"), figure(view.checkpoint, "t")
    if saved is not None and at is not None:
        said.append(_line("saved", f"step {saved:.0f}, {age(time.time() - at)} ago"))
    return said


def _seconds_a_step(steps: tuple[Event, ...]) -> float | None:
    """Return how long the last steps took each."""
    times = [when for step in steps if (when := figure(step, "t")) is not None]
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None


def _by_shots(view: RunView, width: int) -> list[Told]:
    """Tell the scores by shots as numbers, as there is no room for their curves beside the loss."""
    base = next((dict(curve.points) for curve in view.curves if curve.is_base), {})
    now = next((dict(curve.points) for curve in view.curves if not curve.is_base), {})
    cells = max(1, (width - (NARROW_LABEL if width < NARROW else LABEL)) // 5)
    shots = sorted(now)[-cells:] if len(now) <= cells else _ends(sorted(now), cells)
    if not shots:
        return []
    rows = [("at", [str(n) for n in shots], MUTED)]
    rows += [("base", [_score(base.get(n)) for n in shots], MUTED)] if base else []
    rows.append(("now", [_score(now[n]) for n in shots], "$text-success"))
    if base:
        gains = [now[n] - base[n] if n in base else None for n in shots]
        rows.append(("gain", [_score(gain, "+") for gain in gains], ""))
    return [
        ("",),
        *((name, ("".join(f"{one:>5}" for one in row), style)) for name, row, style in rows),
    ]


def _ends(shots: list[int], most: int) -> list[int]:
    """Return the first ones and the last."""
    return [*shots[: most - 1], shots[-1]] if most > 1 else shots[-1:]


def _score(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{100 * value:{sign}.0f}"
