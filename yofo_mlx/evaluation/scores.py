"""What was measured, and the means that are shown: always over the same tasks and queries.

Everything that shows scores (table, picture, app, events) takes its rows from here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, NamedTuple

Row = dict[str, Any]  # shots, and figures by name: scores, and losses (their names end in `loss`)

WIDTH = 1.96  # standard deviations on each side of a 95 % interval


class QueryResult(NamedTuple):
    """What one query got at one number of shots; files hold it as a list."""

    score: float  # the task's metric
    loss: float  # nats, mean over the expected answer's tokens
    choice: str | None = None  # the likeliest of the given labels, where it was asked for
    answer: str | None = None  # the text of the answer, where it is known


Results = list[QueryResult]


@dataclass(frozen=True)
class Point:
    """Means at one number of shots."""

    shots: int
    score: float  # mean of the task's metric
    loss: float  # nats, mean over answers of each answer's mean
    choice: float | None = None  # share of queries whose likeliest label is the expected one
    beside: dict[str, float] = field(default_factory=dict)  # figures told beside the score


@dataclass(frozen=True)
class TaskScores:
    """What one task scored, and what it was asked."""

    task: str
    family: str
    kind: str
    metric: str
    queries: int
    passed_over: int  # queries that do not fit the longest prompt
    too_long: int  # demonstrations that do not
    max_tokens: int
    draws: int
    answer_limit: int | None  # most generated tokens; None where none are generated
    cut: int  # expected answers longer than that
    reason: str  # why there are no points
    points: tuple[Point, ...] = ()
    results: dict[str, Results] = field(default_factory=dict)  # by draw and shots, as `0/16`


@dataclass(frozen=True)
class Scored:
    """A task's rows, fewest shots first; they end where its examples or the room do."""

    task: str
    family: str
    metric: str
    queries: int
    rows: Sequence[Row]

    @property
    def reach(self) -> int:
        """Most shots that were measured, -1 without any."""
        return self.rows[-1]["shots"] if self.rows else -1


def of_model(scores: Iterable[TaskScores], name: str = "accuracy") -> list[Scored]:
    """Return what one model scored."""
    return [
        Scored(
            one.task,
            one.family,
            one.metric,
            one.queries,
            [{"shots": p.shots, name: p.score, "loss": p.loss} for p in one.points],
        )
        for one in scores
    ]


def summarize(tasks: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return for each metric its curve, and what other sets of tasks scored.

    A curve is over tasks that were all measured at each of its points. `by_shots` is the one with
    most measurements (tasks times points), `others` those of the tasks that reach further, or not
    as far.
    """
    metrics = dict.fromkeys(one.metric for one in tasks)
    return [_of_metric(name, [one for one in tasks if one.metric == name]) for name in metrics]


def _of_metric(metric: str, tasks: list[Scored]) -> dict[str, Any]:
    curves = [_curve(tasks, reach) for reach in sorted({one.reach for one in tasks if one.rows})]
    main = max(curves, key=lambda one: one["tasks"] * len(one["by_shots"]), default=None)
    empty = {"tasks": 0, "by_shots": []}
    reach = main["by_shots"][-1]["shots"] if main else -1
    among = [one for one in tasks if one.rows and one.reach >= reach]
    families = dict.fromkeys(one.family for one in among)
    return {
        "metric": metric,
        "of": len(tasks),
        **(main or empty),
        "others": [one for one in curves if one is not main],
        "families": [
            {"family": name, **_curve([one for one in among if one.family == name], reach)}
            for name in families
        ],
    }


def _curve(tasks: Sequence[Scored], reach: int) -> dict[str, Any]:
    """Return the means of the tasks that reach so many shots, up to there."""
    those = [one for one in tasks if one.reach >= reach]
    return {"tasks": len(those), "by_shots": mean_rows(those, reach)}


def mean_rows(tasks: Sequence[Scored], reach: int) -> list[Row]:
    """Average tasks that all reach so many shots, row by row; scores get a margin beside them."""
    columns = [[row for row in one.rows if row["shots"] <= reach] for one in tasks]
    rows = []
    for group in zip(*columns, strict=True):
        means: Row = {"shots": group[0]["shots"]}
        for name in [name for name in group[0] if name != "shots"]:
            figures = [row[name] for row in group]
            means[name] = sum(figures) / len(figures)
            if not name.endswith("loss"):
                means[f"{name}_margin"] = margin(figures, [one.queries for one in tasks])
        rows.append(means)
    return rows


def margin(scores: Sequence[float], queries: Sequence[int]) -> float:
    """Return half a 95 % interval of the mean over tasks, from the queries drawn in each.

    Agresti and Coull's (two right and two wrong answers more, spread over the tasks) for shares of
    right answers; a bound for other scores between 0 and 1. Which tasks and which demonstrations
    were chosen is not in it.
    """
    more, variances = 4 / len(scores), []
    for score, count in zip(scores, queries, strict=True):
        share = (score * count + more / 2) / (count + more)
        variances.append(share * (1 - share) / (count + more))
    return WIDTH * sqrt(sum(variances)) / len(scores)
