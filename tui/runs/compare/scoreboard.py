"""What compared runs score by shots: over the same tasks and queries, or with a word that not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.comparison import Comparison, compare_evaluations
from yofo_mlx.evaluation.scores import Scored

from .contender import Contender

Points = tuple[tuple[int, float], ...]
OF_QUERIES = ("seed", "template", "evaluation", "tasks")  # what a validation depends on
SHOWN_NOTES = 4


@dataclass(frozen=True)
class TaskScore:
    """What one task scored at its most shots, of each run."""

    task: str
    metric: str
    shots: int
    bases: tuple[float, ...]
    adapters: tuple[float, ...]


@dataclass(frozen=True)
class Scoreboard:
    """Curves of one metric, in the order of the runs."""

    source: Literal["evaluation", "validation"]
    metric: str = ""
    metrics: tuple[str, ...] = ()
    curves: tuple[Points, ...] = ()
    bases: tuple[Points, ...] = ()  # none of validations
    tasks: tuple[TaskScore, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shots(self) -> list[int]:
        """Return the numbers of shots at which all runs have a score."""
        known = [{shots for shots, _ in curve} for curve in self.curves if curve]
        return sorted(set.intersection(*known)) if known else []


def scoreboard(contenders: Sequence[Contender], turn: int = 0) -> Scoreboard:
    """Return the scores of one metric, of evaluations where all runs have one.

    `turn`: which of the metrics that there are.
    """
    lacking = [place for place, one in enumerate(contenders) if not one.evaluation]
    if lacking:
        some = len(lacking) < len(contenders)
        names = ", ".join(chr(ord("A") + place) for place in lacking)
        why = f"{names} not evaluated yet: validations are compared" if some else ""
        return _of_validations(contenders, turn, why)
    try:
        found = compare_evaluations(*(one.evaluation for one in contenders))
    except (AttributeError, LookupError, TypeError, ValueError):
        return _of_validations(
            contenders, turn, "an evaluation is damaged: validations are compared"
        )
    if not any(one.rows for one in found.tasks):
        why = "the evaluations have no task in common: validations are compared"
        return _of_validations(contenders, turn, why)
    return _of_evaluations(found, len(contenders), turn)


def _of_evaluations(found: Comparison, count: int, turn: int) -> Scoreboard:
    blocks = sorted(found.metrics, key=lambda one: -one["tasks"])
    block = blocks[turn % len(blocks)]

    def curves(model: str) -> tuple[Points, ...]:
        names = (f"{model} {number}" for number in range(1, count + 1))
        return tuple(archive.points(block["by_shots"], name) for name in names)

    return Scoreboard(
        "evaluation",
        str(block["metric"]),
        tuple(str(one["metric"]) for one in blocks),
        curves("adapter"),
        curves("base"),
        tuple(_task_score(one, count) for one in found.tasks if one.rows),
        _notes(found),
    )


def _task_score(one: Scored, count: int) -> TaskScore:
    row = one.rows[-1]
    bases, adapters = (
        tuple(float(row.get(f"{model} {number}", float("nan"))) for number in range(1, count + 1))
        for model in archive.MODELS
    )
    return TaskScore(one.task, one.metric, int(row["shots"]), bases, adapters)


def _notes(found: Comparison) -> tuple[str, ...]:
    said = []
    if not found.is_like_for_like:
        settings = ", ".join(one.setting for one in found.differences if one.is_of_queries)
        said.append(f"not like for like: {settings} differ, so other queries may have been asked")
    said += [f"not compared: {line}" for line in found.left_out]
    if len(said) > SHOWN_NOTES:
        said[SHOWN_NOTES - 1 :] = [f"and {len(said) - SHOWN_NOTES + 1} more tasks not compared"]
    return tuple(said)


def _of_validations(contenders: Sequence[Contender], turn: int, why: str) -> Scoreboard:
    rows = [archive.objects((one.best or {}).get("by_shots")) for one in contenders]
    metrics = dict.fromkeys(str(row.get("metric", "")) for of_run in rows for row in of_run)
    notes = [why] if why else []
    if len({_asked(one.recipe) for one in contenders}) > 1 and metrics:
        notes.append("validations of other data, seeds or numbers of queries are not like for like")
    if not metrics:
        return Scoreboard("validation", notes=tuple(notes))
    metric = list(metrics)[turn % len(metrics)]
    own = ([row for row in of_run if str(row.get("metric", "")) == metric] for of_run in rows)
    curves = tuple(archive.points(of_run, "accuracy") for of_run in own)
    return Scoreboard("validation", metric, tuple(metrics), curves, notes=tuple(notes))


def _asked(recipe: dict[str, Any]) -> str:
    return repr([recipe.get(key) for key in OF_QUERIES])
