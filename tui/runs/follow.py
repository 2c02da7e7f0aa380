"""How runs stand, read from their folders: no Textual in here, and no MLX."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.archive import objects, points
from yofo_mlx.runs import listing
from yofo_mlx.runs.diagnosis import Death, explain, last_words
from yofo_mlx.runs.divergence import far_worse
from yofo_mlx.runs.events import FINAL_KINDS, Event, figure
from yofo_mlx.runs.folder import ENDED, TROUBLE, Run, Status

from ..shared.curve import Curve, Point

SILENT = TROUBLE | {"created"}  # what the console says is all there is
SHOWN_EVERY_S: Final = 0.3  # while many runs are read for the first time
KEPT = frozenset(  # kinds whose last event is shown
    {"loading", "started", "extended", "plan", "progress", "step", "eval"}
)

SHOWN: Final = ("asked", "metrics")  # of an evaluation
Evaluated = dict[str, Any]


@dataclass(frozen=True)
class ShotCurve:
    """Scores by number of demonstrations, all over the same tasks."""

    name: str  # such as "adapter", or "adapter rouge" where there are several metrics
    points: tuple[tuple[int, float], ...]
    rank: int = 0  # of the metric, most tasks first
    is_base: bool = False
    aside: bool = False  # over other tasks than the curve of its metric


@dataclass(frozen=True)
class RunView:
    """A run at one moment, as the app shows it."""

    run: Run
    status: Status
    started: float  # seconds since the epoch, likewise below
    since: float | None = None  # when the trainer at work took it up
    model: str = ""
    planned: str = ""  # such as "400" steps or "2M tok"
    step: Event | None = None  # the last event of this kind, likewise below
    progress: Event | None = None  # None when the last thing heard was a whole step
    end: Event | None = None
    best: Event | None = None  # of its validations
    heard: Event | None = None  # the last event of a run that has made no step yet
    losses: tuple[Point, ...] = ()
    valid_losses: tuple[Point, ...] = ()
    metric: str = ""  # of the curves, where they have one in common
    curves: tuple[ShotCurve, ...] = ()  # on held-out tasks, where `yofo eval` measured them
    warnings: tuple[Event, ...] = ()
    death: Death | None = None
    has_checkpoint: bool = False
    is_edited: bool = False  # its recipe.toml, which then does not say what was trained
    console: tuple[str, ...] = ()  # last lines, for a run that cannot speak for itself

    @property
    def valid_loss(self) -> float | None:
        """Return the best validation loss."""
        return figure(self.best, "loss")

    @property
    def score(self) -> tuple[int, float] | None:
        """Return the most demonstrations of the best validation, and the score with them."""
        metrics = metrics_of_event(self.best)
        found = metrics[0][1][0].points if metrics else ()
        return found[-1] if found else None

    @property
    def is_diverged(self) -> bool:
        """Tell whether it has learnt the opposite of something, though nothing has failed."""
        return far_worse(self.losses) or far_worse(self.valid_losses)

    @property
    def steps_done(self) -> int:
        """Return the number of the last whole step."""
        return int(figure(self.step, "step") or 0)

    @property
    def share(self) -> float | None:
        """Return the share of the run that is done."""
        if self.status == "finished":
            return 1.0
        share = figure(self.step, "share")
        return None if share is None else min(max(share, 0.0), 1.0)


class Follower:
    """Reads one run folder as it grows."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reader = run.events()
        self._stamp: tuple[int, ...] | None = None
        self._view = RunView(run, run.status(), listing.born(run))
        self._evaluated: tuple[tuple[int, int], Evaluated] = ((0, 0), {})
        self._forget()

    def _forget(self) -> None:
        self._restarts = self._reader.restarts
        self._losses, self._valid = Curve(), Curve()
        self._warnings: deque[Event] = deque(maxlen=20)
        self._last: dict[str, Event] = {}
        self._best: Event | None = None  # validation
        self._end: Event | None = None
        self._heard: Event | None = None
        self._busy = False

    @property
    def view(self) -> RunView:
        """Return the run as it was last read."""
        return self._view

    def poll(self) -> RunView:
        """Read what is new and return the run as it stands."""
        stamp = _stamp(self._run)
        if stamp == self._stamp and self._view.status in ENDED:
            return self._view
        status = self._run.status()
        fresh = False
        for event in self._reader:
            fresh = True
            if self._reader.restarts != self._restarts:  # resumed: its stream was replaced
                self._forget()
            self._absorb(event)
        if fresh or status != self._view.status or stamp != self._stamp:
            self._view = self._look(status)
        self._stamp = stamp
        return self._view

    def _absorb(self, event: Event) -> None:
        kind = event["kind"]
        if kind in KEPT:
            self._last[kind] = self._heard = event
        if kind in FINAL_KINDS:
            self._end = event
        step, loss = figure(event, "step"), figure(event, "loss")
        if kind == "step" and step is not None and loss is not None:
            self._losses.add(step, loss)
        elif kind == "eval":
            if event.get("best") is True:
                self._best = event
            if step is not None and loss is not None:
                self._valid.add(step, loss)
        elif kind == "warning":
            self._warnings.append(event)
        elif kind == "extended" and (share := figure(event, "share")) is not None:
            self._last["step"] = self._last.get("step", event) | {"share": share}
        self._busy = kind == "progress" or (self._busy and kind == "warning")

    def _look(self, status: Status) -> RunView:
        from yofo_mlx.runs.trained import is_edited  # late: recipes' model is slow to import

        started, evaluated = self._last.get("started"), self._last.get("eval")
        evaluation = self._evaluation()
        of_step = archive.outdated(evaluation, self._best)
        metrics = metrics_of(evaluation, of_step) if evaluation else metrics_of_event(evaluated)
        return RunView(
            run=self._run,
            status=status,
            started=listing.born(self._run),
            since=None if status in ENDED else _taken_up(self._run),
            model=str(started.get("model", "")) if started else "",
            planned=_planned(self._last.get("extended", started)),
            step=self._last.get("step"),
            progress=self._last.get("progress") if self._busy and status not in ENDED else None,
            end=self._end if status in ENDED else None,
            best=self._best,
            heard=None if "step" in self._last else self._heard,
            losses=self._losses.points(),
            valid_losses=self._valid.points(),
            metric=metrics[0][0] if len(metrics) == 1 else "",
            curves=tuple(curve for _, curves in metrics for curve in curves),
            warnings=tuple(self._warnings),
            death=explain(self._run) if status in TROUBLE else None,
            has_checkpoint=has_checkpoint(self._run),
            is_edited=is_edited(self._run, self._run.info()),
            console=last_words(self._run) if status in SILENT else (),
        )

    def _evaluation(self) -> Evaluated:
        """Return what is shown of the newest evaluation; such files are large, and seldom new."""
        mark = archive.newest_mark(self._run)
        if mark != self._evaluated[0]:
            latest = archive.latest(self._run)
            self._evaluated = (mark, {key: latest[key] for key in SHOWN if key in latest})
        return self._evaluated[1]


class Watcher:
    """Follows every run there is."""

    def __init__(self) -> None:
        self._followers: dict[Path, Follower] = {}

    def look(self) -> Iterator[list[RunView]]:
        """Yield all runs, newest first: at once as they are known, then with what is read of them.

        A run that cannot be read does not keep the others from being shown; why is raised last.
        """
        found = listing.list_runs()
        known = self._followers
        self._followers = {run.path: known.get(run.path) or Follower(run) for run in found}
        if self._followers.keys() - known.keys():
            yield self._views()
        wrong: Exception | None = None
        shown = time.monotonic()
        for follower in self._followers.values():
            try:
                follower.poll()
            except OSError:  # a folder that vanished while it was read
                continue
            except Exception as error:
                wrong = wrong or error
            if time.monotonic() - shown > SHOWN_EVERY_S:
                shown = time.monotonic()
                yield self._views()
        yield self._views()
        if wrong is not None:
            raise wrong

    def _views(self) -> list[RunView]:
        return [follower.view for follower in self._followers.values()]


Metrics = list[tuple[str, list[ShotCurve]]]


def metrics_of(evaluation: dict[str, Any], of_step: str = "") -> Metrics:
    """Return the curves of an evaluation, metric by metric, as its table has them.

    `of_step`: of which adapter, where the run has a better one by now.
    """
    names = {"base": "base", "adapter": f"adapter of {of_step}" if of_step else "adapter"}
    blocks = objects(evaluation.get("metrics"))
    blocks.sort(key=lambda one: -(figure(one, "tasks") or 0))
    found: Metrics = []
    for rank, block in enumerate(blocks):
        metric = str(block.get("metric", ""))
        also = f" {metric}" if len(blocks) > 1 else ""
        curves = []
        for name in ("base", "adapter"):
            whole = points(block.get("by_shots"), name)
            curves.append(ShotCurve(f"{names[name]}{also}", whole, rank, name == "base"))
        for other in objects(block.get("others")):
            words = f"{_whole(other, 'tasks')} of {_whole(block, 'of')} tasks{also}"
            for name in ("base", "adapter"):
                two = points(other.get("by_shots"), name)[-2:]
                curves.append(ShotCurve(f"{names[name]}, {words}", two, rank, name == "base", True))
        found.append((metric, curves))
    return found


def metrics_of_event(event: Event | None) -> Metrics:
    """Return the curves of a validation, metric by metric."""
    rows, step = objects((event or {}).get("by_shots")), _whole(event or {}, "step")
    metrics = dict.fromkeys(str(row.get("metric", "")) for row in rows)
    found: Metrics = []
    for rank, metric in enumerate(metrics):
        own = [row for row in rows if str(row.get("metric", "")) == metric]
        also = f" {metric}" if len(metrics) > 1 else ""
        found.append((metric, [ShotCurve(f"step {step}{also}", points(own, "accuracy"), rank)]))
    return found


def has_checkpoint(run: Run) -> bool:
    """Tell whether there is something to go on from."""
    try:
        return any(path.name.isdecimal() for path in run.checkpoints_path.iterdir())
    except OSError:
        return False


def _taken_up(run: Run) -> float | None:
    """Return when the lock was taken: by the trainer that holds it now."""
    try:
        return run.lock_path.stat().st_mtime
    except OSError:
        return None


def _whole(values: dict[str, Any], name: str) -> str:
    value = figure(values, name)
    return "–" if value is None else f"{value:.0f}"


def _planned(event: Event | None) -> str:
    steps, tokens = figure(event, "steps"), figure(event, "tokens")
    if steps is not None:
        return f"{steps:.0f}"
    return "" if tokens is None else f"{tokens / 1000:,.0f}k tok"


def _stamp(run: Run) -> tuple[int, ...]:
    """Return what changes when a run is resumed or writes: cheap to compare."""
    stamp: list[int] = []
    for path in (run.events_path, run.lock_path, run.console_path, run.recipe_path):
        try:
            found = path.stat()
        except OSError:
            stamp += (0, 0)
        else:
            stamp += (found.st_size, found.st_mtime_ns)
    return (*stamp, *archive.newest_mark(run))
