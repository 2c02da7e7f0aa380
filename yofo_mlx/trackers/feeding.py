"""From the events of a run to a tracker."""

from collections.abc import Iterable

from yofo_mlx.runs.events import Event, figure
from yofo_mlx.runs.folder import TROUBLE, Run
from yofo_mlx.trackers.figures import figures
from yofo_mlx.trackers.tracker import Tracker


def feed(run: Run, events: Iterable[Event], tracker: Tracker) -> tuple[int, str]:
    """Give a tracker the figures of events; return of how many, and where they are."""
    tracker.begin(run)
    count = 0
    try:
        for event in events:
            if found := figures(event):
                tracker.log(int(figure(event, "step") or 0), float(event["t"]), found)
                count += 1
    finally:
        place = tracker.end(well=run.status() not in TROUBLE)
    return count, place
