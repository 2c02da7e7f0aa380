"""How runs stand, read from their folders as they grow: no Textual in here, and no MLX."""

import os
import time
import tomllib
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from yofo_mlx.evaluation import archive
from yofo_mlx.runs import listing
from yofo_mlx.runs.diagnosis import explain, last_words
from yofo_mlx.runs.events import FINAL_KINDS, Event, figure
from yofo_mlx.runs.folder import ENDED, TROUBLE, Run, Status
from yofo_mlx.runs.names import undated
from yofo_mlx.system import paths
from yofo_mlx.system.files import size_of

from ..shared.curve import Curve
from .view import Made, RunView, Validation, metrics_of, metrics_of_validation, tasks_of

SILENT = TROUBLE | {"created"}  # what the console says is all there is
SHOWN_EVERY_S: Final = 0.3  # while many runs are read for the first time
WEIGHED_EVERY_S: Final = 30.0  # a run that grows
LISTED_EVERY_S: Final = 15.0  # where the folder of runs is as it was
YOUNG_S: Final = 10.0  # a folder that changed so lately may hold what is about to become a run
IN_TURN: Final = 50  # ended runs that are looked at each time; of more, others the next time
MOST_VALIDATIONS: Final = 400  # of more, every second one but the best is forgotten
KEPT = frozenset(  # kinds whose last event is shown
    {"loading", "started", "extended", "plan", "progress", "step", "eval", "checkpoint"}
)
SHOWN: Final = ("asked", "metrics", "tasks")  # of an evaluation


class Follower:
    """Reads one run folder as it grows."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reader = run.events()
        self._stamp: tuple[int, ...] | None = None
        self._view = RunView(run, run.status(), listing.born(run), name=run.run_id)
        self._evaluated: tuple[tuple[int, int], dict[str, Any]] = ((0, 0), {})
        self._made: tuple[tuple[int, ...], Made] = ((), Made())
        self._weighed = (float("-inf"), 0)
        self._watched = _watched(run)
        self._forget()

    def _forget(self) -> None:
        self._restarts = self._reader.restarts
        self._losses, self._valid = Curve(), Curve()
        self._rates, self._speeds = Curve(most=128), Curve(most=128)
        self._validations: list[Validation] = []
        self._samples: deque[Event] = deque(maxlen=200)
        self._steps: deque[Event] = deque(maxlen=40)
        self._shots: Counter[int] = Counter()
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

    @property
    def is_at_rest(self) -> bool:
        """Tell whether the run was read to its end, and nothing is expected of it."""
        return self._stamp is not None and self._view.status in ENDED

    def call(self, name: str) -> None:
        """Let the run go by a name that is shorter than its id."""
        if name != self._view.name:
            self._view = replace(self._view, name=name)

    def poll(self) -> RunView:
        """Read what is new and return the run as it stands."""
        marks = (part for path in self._watched for part in _mark(path))
        stamp = (*marks, *archive.newest_mark(self._run))
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
            self._last[kind] = event
            if kind != "checkpoint":
                self._heard = event
        if kind in FINAL_KINDS:
            self._end = event
        if kind == "step":
            self._absorb_step(event)
        elif kind == "eval":
            self._absorb_validation(event)
        elif kind == "sample":
            self._samples.append(event)
        elif kind == "warning":
            self._warnings.append(event)
        elif kind == "extended" and (share := figure(event, "share")) is not None:
            self._last["step"] = self._last.get("step", event) | {"share": share}
        self._busy = kind == "progress" or (self._busy and kind == "warning")

    def _absorb_step(self, event: Event) -> None:
        step = figure(event, "step")
        if step is None:
            return
        for curve, field in (
            (self._losses, "loss"),
            (self._rates, "lr"),
            (self._speeds, "tokens_per_s"),
        ):
            if (value := figure(event, field)) is not None:
                curve.add(step, value)
        self._steps.append(event)
        drawn = event.get("shots")
        self._shots.update(n for n in (drawn if isinstance(drawn, list) else ()) if type(n) is int)

    def _absorb_validation(self, event: Event) -> None:
        if event.get("best") is True:
            self._best = event
        if (step := figure(event, "step")) is None:
            return
        if (loss := figure(event, "loss")) is not None:
            self._valid.add(step, loss)
        found = Validation.of(event)
        while self._validations and self._validations[-1].step >= found.step:
            self._validations.pop()
        self._validations.append(found)
        if len(self._validations) > MOST_VALIDATIONS:
            every = enumerate(self._validations)
            self._validations = [one for n, one in every if n % 2 == 0 or one.is_best]

    def _look(self, status: Status) -> RunView:
        started, validations = self._last.get("started"), self._validations
        evaluation = self._evaluation()
        of_step = archive.outdated(evaluation, self._best)
        metrics = metrics_of(evaluation, of_step) if evaluation else []
        metrics = metrics or metrics_of_validation(validations[-1] if validations else None)
        return RunView(
            run=self._run,
            status=status,
            started=listing.born(self._run),
            name=self._view.name,
            since=None if status in ENDED else _taken_up(self._run),
            model=str(started.get("model", "")) if started else "",
            planned=_planned(self._last.get("extended", started)),
            step=self._last.get("step"),
            plan=self._last.get("plan"),
            checkpoint=self._last.get("checkpoint"),
            progress=self._last.get("progress") if self._busy and status not in ENDED else None,
            end=self._end if status in ENDED else None,
            best=self._best,
            heard=None if "step" in self._last else self._heard,
            losses=self._losses.points(),
            valid_losses=self._valid.points(),
            rates=self._rates.points(),
            speeds=self._speeds.points(),
            validations=tuple(validations),
            samples=tuple(self._samples),
            steps=tuple(self._steps),
            shots=dict(self._shots),
            metric=metrics[0][0] if len(metrics) == 1 else "",
            curves=tuple(curve for _, curves in metrics for curve in curves),
            tasks=tasks_of(evaluation),
            evaluation=evaluation,
            warnings=tuple(self._warnings),
            death=explain(self._run) if status in TROUBLE else None,
            has_checkpoint=has_checkpoint(self._run),
            nbytes=self._weigh(status),
            made=self._look_how_made(),
            console=last_words(self._run) if status in SILENT else (),
        )

    def _evaluation(self) -> dict[str, Any]:
        """Return what is shown of the newest evaluation; such files are large, and seldom new."""
        mark = archive.newest_mark(self._run)
        if mark != self._evaluated[0]:
            latest = archive.latest(self._run)
            self._evaluated = (mark, {key: latest[key] for key in SHOWN if key in latest})
        return self._evaluated[1]

    def _look_how_made(self) -> Made:
        """Return what run.json says; it and the recipe change seldom."""
        mark = (*_mark(self._run.info_path), *_mark(self._run.recipe_path))
        if mark != self._made[0]:
            self._made = (mark, _made(self._run))
        return self._made[1]

    def _weigh(self, status: Status) -> int:
        now = time.monotonic()
        if status in ENDED or now - self._weighed[0] > WEIGHED_EVERY_S:
            self._weighed = (now, size_of(self._run.path))
        return self._weighed[1]


class Watcher:
    """Follows every run there is."""

    def __init__(self) -> None:
        self.attended: Run | None = None  # looked at each time
        self._followers: dict[Path, Follower] = {}
        self._runs: list[Run] = []
        self._mark: object = None  # of the folder of runs, once it is settled
        self._listed = float("-inf")
        self._turn = 0

    def look(self) -> Iterator[list[RunView]]:
        """Yield all runs, newest first: at once as they are known, then with what is read of them.

        A run that cannot be read does not keep the others from being shown; why is raised last.
        """
        found = self._list()
        known = self._followers
        if [run.path for run in found] != list(known):
            self._followers = {run.path: known.get(run.path) or Follower(run) for run in found}
            names = _names([run.run_id for run in found])
            for follower, name in zip(self._followers.values(), names, strict=True):
                follower.call(name)
        if self._followers.keys() - known.keys():
            yield self._views()
        wrong: Exception | None = None
        shown = time.monotonic()
        for follower in self._due():
            try:
                follower.poll().work_out()
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

    def _list(self) -> list[Run]:
        """Return the runs there are; hundreds of folders are opened only where that may change."""
        folder, now = paths.runs(), time.monotonic()
        mark = (folder, *_mark(folder))
        if mark != self._mark or now - self._listed > LISTED_EVERY_S:
            self._runs, self._listed = listing.list_runs(), now
            is_young = time.time() - mark[2] / 1e9 < YOUNG_S
            self._mark = None if is_young else mark
        return self._runs

    def _due(self) -> list[Follower]:
        """Return the runs to look at: those that may change any moment, and some others in turn."""
        every = list(self._followers.values())
        at_rest = [one for one in every if one.is_at_rest and one.view.run != self.attended]
        if len(at_rest) <= IN_TURN:
            return every
        at = self._turn % len(at_rest)
        self._turn = at + IN_TURN
        in_turn = (at_rest + at_rest)[at : at + IN_TURN]
        skipped = set(at_rest).difference(in_turn)
        return [one for one in every if one not in skipped]

    def _views(self) -> list[RunView]:
        return [follower.view for follower in self._followers.values()]


def _names(ids: list[str]) -> list[str]:
    """Return what runs are called, without the date; with the time where several are alike."""
    names = [undated(run_id) for run_id in ids]
    several = {name for name, count in Counter(names).items() if count > 1}
    return [
        f"{name} {run_id[9:11]}:{run_id[11:13]}" if name in several and name != run_id else name
        for name, run_id in zip(names, ids, strict=True)
    ]


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


def _planned(event: Event | None) -> str:
    steps, tokens = figure(event, "steps"), figure(event, "tokens")
    if steps is not None:
        return f"{steps:.0f}"
    return "" if tokens is None else f"{tokens / 1000:,.0f}k tok"


def _made(run: Run) -> Made:
    noted = run.noted()
    recipe = noted.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    train = recipe.get("train")
    every = train.get("eval_every") if isinstance(train, dict) else None
    note = noted.get("note")
    return Made(
        " ".join(_flat(recipe)),
        note if isinstance(note, str) else "",
        every if type(every) is int else None,
        bool(recipe) and _is_edited(run, recipe),
    )


def _is_edited(run: Run, recipe: dict[str, Any]) -> bool:
    """Tell whether recipe.toml says something else; checked only where it is not the very same."""
    with suppress(OSError, ValueError):
        if tomllib.loads(run.recipe_path.read_text(encoding="utf-8")) == recipe:
            return False
    from yofo_mlx.runs.trained import is_edited  # late: recipes' model is slow to import

    return is_edited(run, run.info())


def _flat(value: Any, key: str = "") -> Iterator[str]:
    """Yield every key of a recipe with its value, such as `train.steps=100`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, key)
    elif value is not None:
        yield f"{key}={value}"


def _mark(path: str | Path) -> tuple[int, int]:
    """Return what changes when a file does."""
    try:
        found = os.stat(path)  # noqa: PTH116 - no paths are made: hundreds of runs, each second
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _watched(run: Run) -> list[str]:
    """Return the files that change when a run is resumed or writes."""
    files = (run.events_path, run.lock_path, run.console_path, run.recipe_path, run.info_path)
    return [os.fspath(path) for path in files]
