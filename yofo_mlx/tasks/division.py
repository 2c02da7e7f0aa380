"""Rows that come without a recipe, made demonstrations and queries."""

from dataclasses import replace
from random import Random

from yofo_mlx.errors import DataError
from yofo_mlx.tasks.registry import set_aside
from yofo_mlx.tasks.spelling import text_key
from yofo_mlx.tasks.task import Example, Task

SHARE = 0.1  # of the rows are queries, more where that is fewer than are asked


def divide(task: Task, seed: int, queries: int, share: float | None = None) -> tuple[Task, str]:
    """Return a task with demonstrations and queries, and how its rows became those.

    Splits of its own are kept. Rows without any are drawn: `share` of them as queries; left out, a
    tenth, but as many as `queries` where half of the rows are.
    """
    asked = task.test or task.valid
    name = "test" if task.test else "valid"
    shown = task.train or (_unasked(task) if task.test else ())
    if shown and asked:
        of = "train" if task.train else "valid"
        return replace(task, train=shown), f"demonstrations are of its {of} rows, queries of {name}"
    rows = task.train or asked
    inputs = len({text_key(example.input) for example in rows})
    if inputs < 2:
        only = "1 row only" if len(rows) == 1 else f"{len(rows):,} rows with one and the same input"
        raise DataError(
            f"{task.name}: {only}: none is left to ask once it is shown",
            "give two rows at least: one is shown, the other is asked",
        )
    if share is None:
        share = max(round(SHARE * inputs), min(queries, inputs // 2)) / inputs
    train, test = set_aside(list(rows), share, Random(f"{seed}/{task.name}"))
    divided = replace(task, train=tuple(train), valid=(), test=tuple(test))
    return divided, f"queries were drawn from its {len(rows):,} rows (seed {seed})"


def _unasked(task: Task) -> tuple[Example, ...]:
    """Return the valid rows whose inputs are not in test."""
    asked = {text_key(example.input) for example in task.test}
    return tuple(example for example in task.valid if text_key(example.input) not in asked)
