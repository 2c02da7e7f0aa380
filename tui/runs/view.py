"""A run at one moment, as the app shows it: no Textual in here, and no MLX."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from yofo_mlx.evaluation.archive import objects, points
from yofo_mlx.evaluation.ranking import Ranks, ranks
from yofo_mlx.runs.diagnosis import Death
from yofo_mlx.runs.divergence import BEGUN, far_worse
from yofo_mlx.runs.events import Event, figure
from yofo_mlx.runs.folder import GOING_ON, Run, Status

from ..shared.curve import Point

ByShots = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class ShotCurve:
    """Scores by number of demonstrations, all over the same tasks."""

    name: str  # such as "adapter", or "adapter rouge" where there are several metrics
    points: ByShots
    rank: int = 0  # of the metric, most tasks first
    is_base: bool = False
    aside: bool = False  # over other tasks than the curve of its metric


Metrics = list[tuple[str, list[ShotCurve]]]


@dataclass(frozen=True)
class Validation:
    """What a validation measured."""

    step: int
    loss: float | None
    is_best: bool
    when: float | None  # seconds since the epoch
    scores: dict[str, ByShots]  # by metric, that of the most tasks first
    tasks: dict[str, ByShots]  # by task, where that was told

    @classmethod
    def of(cls, event: Event) -> "Validation":
        """Return what an event tells; what is damaged in it is left out."""
        rows = objects(event.get("by_shots"))
        metrics = dict.fromkeys(str(row.get("metric", "")) for row in rows)
        own = {
            name: [row for row in rows if str(row.get("metric", "")) == name] for name in metrics
        }
        tasks = {str(one.get("task", "")): one for one in objects(event.get("by_task"))}
        return cls(
            step=int(figure(event, "step") or 0),
            loss=figure(event, "loss"),
            is_best=event.get("best") is True,
            when=figure(event, "t"),
            scores={name: points(own[name], "accuracy") for name in metrics},
            tasks={name: _paired(one) for name, one in tasks.items()},
        )

    @property
    def main(self) -> ByShots:
        """Return the scores of the metric that comes first."""
        return next(iter(self.scores.values()), ())


@dataclass(frozen=True)
class TaskResult:
    """What one task scored in an evaluation, by shots."""

    task: str
    base: ByShots
    adapter: ByShots


@dataclass(frozen=True)
class Made:
    """What a run was made with, as its run.json has it."""

    keys: str = ""  # every key of the recipe with its value, for the filter
    note: str = ""
    eval_every: int | None = None  # steps
    is_edited: bool = False  # its recipe.toml, which then does not say what was trained


@dataclass(frozen=True)
class RunView:
    """A run at one moment, as the app shows it."""

    run: Run
    status: Status
    started: float  # seconds since the epoch, likewise below
    name: str = ""  # as short as it stands for this run alone
    since: float | None = None  # when the trainer at work took it up
    model: str = ""
    planned: str = ""  # such as "400" steps or "2M tok"
    step: Event | None = None  # the last event of this kind, likewise below
    plan: Event | None = None
    checkpoint: Event | None = None
    progress: Event | None = None  # None when the last thing heard was a whole step
    end: Event | None = None
    best: Event | None = None  # of its validations
    heard: Event | None = None  # the last event of a run that has made no step yet
    losses: tuple[Point, ...] = ()
    valid_losses: tuple[Point, ...] = ()
    rates: tuple[Point, ...] = ()  # learning rate by step
    speeds: tuple[Point, ...] = ()  # tokens a second by step
    validations: tuple[Validation, ...] = ()  # oldest first
    samples: tuple[Event, ...] = ()  # likewise
    steps: tuple[Event, ...] = ()  # the last ones
    shots: dict[int, int] = field(default_factory=dict)  # episodes by their shots
    metric: str = ""  # of the curves, where they have one in common
    curves: tuple[ShotCurve, ...] = ()  # on held-out tasks, where `yofo eval` measured them
    tasks: tuple[TaskResult, ...] = ()  # likewise
    evaluation: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[Event, ...] = ()
    death: Death | None = None
    has_checkpoint: bool = False
    nbytes: int | None = None  # on the disk
    made: Made = Made()
    console: tuple[str, ...] = ()  # last lines, for a run that cannot speak for itself

    @cached_property
    def ranks(self) -> Ranks:
        """Return what ranks it."""
        return ranks(self.status, self.step, self.best, self.evaluation)

    @cached_property
    def is_diverged(self) -> bool:
        """Tell whether it has learnt the opposite of something, though nothing has failed."""
        if self.status in GOING_ON and len(self.losses) < BEGUN:
            return False
        return far_worse(self.losses) or far_worse(self.valid_losses)

    def work_out(self) -> None:
        """Work out what the list shows, in the thread that reads: the other one answers keys."""
        _ = self.ranks, self.is_diverged

    @property
    def is_measurable(self) -> bool:
        """Tell whether it has an adapter to evaluate."""
        return self.best is not None or self.status == "finished"

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

    @property
    def planned_steps(self) -> int | None:
        """Return its length in steps, a guess where it is counted in tokens; None if not known."""
        if self.planned.isdecimal():
            return int(self.planned)
        return round(self.steps_done / self.share) if self.share and self.steps_done else None


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


def metrics_of_validation(last: Validation | None) -> Metrics:
    """Return the curves of a validation, metric by metric."""
    if last is None:
        return []
    also = {name: f" {name}" if len(last.scores) > 1 else "" for name in last.scores}
    return [
        (name, [ShotCurve(f"step {last.step}{also[name]}", scores, rank)])
        for rank, (name, scores) in enumerate(last.scores.items())
    ]


def tasks_of(evaluation: dict[str, Any]) -> tuple[TaskResult, ...]:
    """Return what each task of an evaluation scored."""
    tasks = evaluation.get("tasks")
    pairs = tasks.items() if isinstance(tasks, dict) else ()
    return tuple(
        TaskResult(str(name), points(rows, "base"), points(rows, "adapter")) for name, rows in pairs
    )


def _paired(row: dict[str, Any]) -> ByShots:
    """Return the scores of one task by shots, from two lists in an event that may be damaged."""
    shots, scores = row.get("shots"), row.get("accuracy")
    if not (isinstance(shots, list) and isinstance(scores, list)):
        return ()
    pairs = zip(shots, scores, strict=False)
    return tuple((n, float(score)) for n, score in pairs if type(n) is int and _is_figure(score))


def _is_figure(value: Any) -> bool:
    return figure({"value": value}, "value") is not None


def _whole(values: dict[str, Any], name: str) -> str:
    value = figure(values, name)
    return "–" if value is None else f"{value:.0f}"
