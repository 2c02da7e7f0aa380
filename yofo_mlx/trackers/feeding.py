"""From the events of a run to a tracker."""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from yofo_mlx.errors import YofoError
from yofo_mlx.runs.events import Event, figure
from yofo_mlx.runs.folder import TROUBLE, Run
from yofo_mlx.system.files import disk_error
from yofo_mlx.system.text import reason, shorten
from yofo_mlx.trackers.figures import figures
from yofo_mlx.trackers.tracker import Tracker


def feed(
    run: Run, events: Iterable[Event], tracker: Tracker, out: Path | None = None
) -> tuple[int, str]:
    """Give a tracker the figures of events; return of how many, and where they are.

    `out` is where it was asked to write.
    """
    count = 0
    with _in_words(tracker, run, out):
        tracker.begin(run)
        try:
            for event in events:
                if found := figures(event):
                    tracker.log(int(figure(event, "step") or 0), float(event["t"]), found)
                    count += 1
        finally:
            place = tracker.end(well=run.status() not in TROUBLE)
    return count, place


@contextmanager
def _in_words(tracker: Tracker, run: Run, out: Path | None) -> Iterator[None]:
    """Say in two lines what a tracker's package cannot do; a defect of ours stays one."""
    try:
        yield
    except YofoError:
        raise
    except OSError as error:
        if out is None and error.filename is None:  # standard output, or whoever read it
            raise
        raise disk_error(error, out or run.path, "the same command") from error
    except Exception as error:
        frames = traceback.walk_tb(error.__traceback__)
        names = {str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in frames}
        if tracker.package not in names:
            raise
        wrong = f"{tracker.package}: {shorten(reason(error), 300)}"
        raise YofoError(wrong, "check where it writes to, then the same command again") from error
