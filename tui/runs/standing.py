"""What the state line tells of the runs."""

from collections.abc import Sequence

from yofo_mlx.runs.events import figure
from yofo_mlx.runs.folder import GOING_ON
from yofo_mlx.runs.names import undated

from ..shared.state_line import State
from ..shared.words import MARKS
from .view import RunView


def standing(views: Sequence[RunView]) -> State | None:
    """Return how the newest run that goes on stands."""
    going = [view for view in views if view.status in GOING_ON]
    if not going:
        return None
    view = max(going, key=lambda one: one.since or one.started)
    planned = f"/{int(view.planned):,}" if view.planned.isdecimal() else ""
    return State(
        name=undated(view.run.run_id),
        mark=MARKS[view.status],
        steps=f"{view.steps_done:,}{planned}" if view.step else "",
        share=view.share,
        seconds_left=figure(view.step, "seconds_left"),
        peak_gb=figure(view.step, "peak_gb"),
        limit_gb=figure(view.plan, "limit_gb"),
        others=len(going) - 1,
    )
