"""One of the runs that are compared, read from its folder as it grows: no Textual in here."""

from dataclasses import dataclass
from typing import Any, Final

from yofo_mlx.errors import YofoError
from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.ranking import Ranks, ranks
from yofo_mlx.recipe.file import read_toml
from yofo_mlx.runs.events import Event, figure, seconds_of
from yofo_mlx.runs.folder import GOING_ON, Run, Status
from yofo_mlx.system.files import size_of

from ...shared.curve import Curve, Point

AXES: Final = ("steps", "tokens", "hours")  # of training, pauses left out
UNITS: Final = {
    "hours": 3600
}  # seconds are what a curve is kept by: it joins what is closer than 1
NEEDED: Final = ("asked", "measured", "tasks", "choices")  # of an evaluation


@dataclass(frozen=True)
class Contender:
    """A run as it stands, and how it got there."""

    run: Run
    status: Status
    step: Event | None  # the last one
    best: Event | None  # of its validations
    seconds: float  # that its steps took
    losses: dict[str, tuple[Point, ...]]  # by axis, likewise below
    valid_losses: dict[str, tuple[Point, ...]]
    evaluation: dict[str, Any]  # the newest of all held-out tasks, empty without one
    recipe: dict[str, Any]
    ranks: Ranks
    nbytes: int

    @property
    def share(self) -> float | None:
        """Return the share of the run that is done."""
        return 1.0 if self.status == "finished" else figure(self.step, "share")


class ContenderReader:
    """Follows one run folder."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reader = run.events()
        self._restarts = 0
        self._last: Contender | None = None
        self._mark: object = None
        self._forget()

    def _forget(self) -> None:
        self._losses = {axis: Curve() for axis in AXES}
        self._valid_losses = {axis: Curve() for axis in AXES}
        self._step: Event | None = None
        self._best: Event | None = None
        self._seconds = 0.0

    def read(self) -> Contender:
        """Read what is new and return the run as it stands."""
        status = self._run.status()
        fresh = False
        for event in self._reader:
            fresh = True
            if self._reader.restarts != self._restarts:  # resumed: its stream was replaced
                self._restarts = self._reader.restarts
                self._forget()
            self._absorb(event)
        mark = status, archive.newest_mark(self._run)
        if self._last is None or fresh or mark != self._mark:
            self._mark, self._last = mark, self._look(status)
        return self._last

    def _absorb(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "step":
            self._step = event
            self._seconds += seconds_of(event)
            self._add(self._losses, event)
        elif kind == "eval":
            self._add(self._valid_losses, event)
            if event.get("best") is True:
                self._best = event

    def _add(self, curves: dict[str, Curve], event: Event) -> None:
        places = (
            figure(event, "step"),
            figure(self._step, "total_tokens"),
            self._seconds,
        )
        loss = figure(event, "loss")
        for axis, place in zip(AXES, places, strict=True):
            if place is not None and loss is not None:
                curves[axis].add(place, loss)

    def _look(self, status: Status) -> Contender:
        latest = archive.latest(self._run)
        return Contender(
            run=self._run,
            status=status,
            step=self._step,
            best=self._best,
            seconds=self._seconds,
            losses=_points(self._losses),
            valid_losses=_points(self._valid_losses),
            evaluation={key: latest[key] for key in NEEDED if key in latest},
            recipe=_recipe(self._run),
            ranks=ranks(status, self._step, self._best, latest),
            nbytes=size_of(self._run.path.resolve()),
        )


def _points(curves: dict[str, Curve]) -> dict[str, tuple[Point, ...]]:
    return {
        axis: tuple((x / UNITS.get(axis, 1), y) for x, y in curve.points())
        for axis, curve in curves.items()
    }


def _recipe(run: Run) -> dict[str, Any]:
    """Return what it was trained with; of one without run.json, what its recipe says."""
    try:
        return run.info().recipe or read_toml(run.recipe_path)
    except YofoError:  # Runs says so
        return {}


def is_going_on(contenders: list[Contender]) -> bool:
    """Tell whether one of them may still change."""
    return any(one.status in GOING_ON for one in contenders)
