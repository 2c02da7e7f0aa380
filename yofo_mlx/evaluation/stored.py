"""What tasks scored, as a file holds it and back, and several models side by side."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from yofo_mlx.evaluation.scores import Point, QueryResult, Results, Row, Scored, TaskScores

CHOICE = "choice"
"""The share of queries whose likeliest label is the expected one, as a metric of its own."""


def facts_of(scores: TaskScores) -> dict[str, Any]:
    """Return a task's scores as a file holds them."""
    return asdict(scores)


def scores_of(facts: dict[str, Any]) -> TaskScores:
    """Return the scores that a file holds; it may be one of before results were kept."""
    points = tuple(
        Point(
            point["shots"],
            float(point["score"]),  # also "nan"
            float(point["loss"]),
            None if point.get("choice") is None else float(point["choice"]),
            {name: float(value) for name, value in point.get("beside", {}).items()},
        )
        for point in facts["points"]
    )
    results = results_of(facts.get("results"))
    return TaskScores(**facts | {"points": points, "results": results})


def results_of(found: Any) -> dict[str, Results]:
    """Return the results of queries that a file holds, nothing if it is damaged."""
    try:
        return {
            place: [
                QueryResult(float(score), float(loss), *map(_text, texts))  # also "nan"
                for score, loss, *texts in some
            ]
            for place, some in found.items()
        }
    except (AttributeError, TypeError, ValueError):
        return {}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError("neither a text nor nothing")


def paired(scores: dict[str, list[TaskScores]]) -> list[Scored]:
    """Put what several models scored on the same queries side by side."""
    return [
        _side_by_side(of_task, [_row(group) for group in _points(of_task)])
        for of_task in _by_task(scores)
    ]


def paired_choices(scores: dict[str, list[TaskScores]]) -> list[Scored]:
    """Put the shares of right choices side by side, of the tasks that have any."""
    found = []
    for of_task in _by_task(scores):
        points = [group for group in _points(of_task) if _is_chosen(group)]
        if points:
            rows = [_choice_row(group) for group in points]
            found.append(replace(_side_by_side(of_task, rows), metric=CHOICE))
    return found


def _by_task(scores: dict[str, list[TaskScores]]) -> Iterator[dict[str, TaskScores]]:
    for of_task in zip(*scores.values(), strict=True):
        yield dict(zip(scores, of_task, strict=True))


def _points(of_task: dict[str, TaskScores]) -> Iterator[dict[str, Point]]:
    for group in zip(*(one.points for one in of_task.values()), strict=True):
        yield dict(zip(of_task, group, strict=True))


def _side_by_side(of_task: dict[str, TaskScores], rows: list[Row]) -> Scored:
    one = next(iter(of_task.values()))
    return Scored(one.task, one.family, one.metric, one.queries, rows)


def _row(group: dict[str, Point]) -> Row:
    losses = {f"{name}_loss": point.loss for name, point in group.items()}
    return {"shots": _shots(group)} | {name: p.score for name, p in group.items()} | losses


def _is_chosen(group: dict[str, Point]) -> bool:
    return all(point.choice is not None for point in group.values())


def _choice_row(group: dict[str, Point]) -> Row:
    return {"shots": _shots(group)} | {name: point.choice for name, point in group.items()}


def _shots(group: dict[str, Point]) -> int:
    return next(iter(group.values())).shots
