"""The line at the top right of every place: what the newest run that goes on is at."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget

from yofo_mlx.system.quantities import duration

from .blocks import gauge
from .clock import moment
from .table import head
from .words import MUTED, percent

NAME = 24  # cells of a run's name
HIGH, FULL = 0.85, 0.95  # shares of the memory limit from which it is told in amber, in red


@dataclass(frozen=True)
class State:
    """How a run stands, in what its line shows."""

    name: str
    mark: tuple[str, str] = ("●", "$text-success")  # and its colour
    steps: str = ""  # such as 412/2,000
    share: float | None = None
    seconds_left: float | None = None
    peak_gb: float | None = None
    limit_gb: float | None = None
    others: int = 0  # runs that go on, too


class StateLine(Widget):
    """Shows as much as there is room for; nothing while no run goes on."""

    DEFAULT_CSS = """
    StateLine {
        width: 1fr; height: 1; padding: 0 1; text-align: right; text-wrap: nowrap;
        color: $foreground;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._state: State | None = None

    def on_mount(self) -> None:
        """Begin with what the app knows already."""
        self.show(getattr(self.app, "state", None))

    def show(self, state: State | None) -> None:
        """Draw this state from now on."""
        if state != self._state:
            self._state = state
            self.tooltip = None if state is None else longest(state).plain
            self.refresh()

    def render(self) -> Content:
        """Draw the longest form there is room for."""
        if self._state is None:
            return Content()
        room = self.content_size.width
        fitting = (form for form in forms(self._state) if form.cell_length <= room)
        return next(fitting, Content())


def longest(state: State) -> Content:
    """Return all that is told of a state."""
    return next(forms(state))


def forms(state: State) -> Iterator[Content]:
    """Yield ways to tell a state, the longest first."""
    sign, style = state.mark
    name = Content.assemble((sign, style), " ", (head(state.name, NAME), "bold"))
    left, share = state.seconds_left, percent(state.share) if state.share is not None else ""
    done = "" if left is None else f"done {moment(time.time() + left)}"
    others = f"+{state.others}" if state.others else ""
    memory, short = _memory(state, " of "), _memory(state, "/")
    ways: list[tuple[int, str, list[Content | str]]] = [
        (24, state.steps, [done, memory, others]),
        (12, state.steps, [done, memory, others]),
        (12, "", [_brief(left), short, others]),
        (0, "", [_brief(left), short]),
        (0, "", [_brief(left)]),
        (0, "", []),
    ]
    for width, steps, rest in ways:
        meter = gauge(state.share, width) if width and state.share is not None else ""
        lead: list[Content | str] = [name, *(p for p in (steps, meter, share) if p)]
        told: list[Content | str] = [Content(" ").join(lead), *(p for p in rest if p)]
        yield Content.styled(" · ", MUTED).join(told)
    yield Content.assemble((sign, style), f" {share}")


def _memory(state: State, of: str) -> Content | str:
    if state.peak_gb is None:
        return ""
    if not state.limit_gb:
        return f"{state.peak_gb:.1f} GB"
    share = state.peak_gb / state.limit_gb
    style = "$text-error" if share > FULL else "$text-warning" if share > HIGH else ""
    digits = 0 if of == "/" and state.limit_gb >= 10 else 1
    used, limit = f"{state.peak_gb:.{digits}f}", f"{state.limit_gb:.0f}"
    return Content.styled(f"{used}{of}{limit} GB", style) if style else f"{used}{of}{limit} GB"


def _brief(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)
