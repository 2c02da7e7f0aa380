"""Data given to an evaluation: its rows as a task, and what of them a run was trained on."""

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.recipe.schema import Recipe, TaskSource
from yofo_mlx.tasks.division import divide
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.registry import TaskEntry, fingerprint, load_tasks
from yofo_mlx.tasks.sources import expand
from yofo_mlx.tasks.spelling import text_key
from yofo_mlx.tasks.task import Example


@dataclass(frozen=True)
class Given:
    """A task made of data that no recipe holds."""

    entry: TaskEntry
    source: TaskSource
    division: str  # how its rows became demonstrations and queries


@dataclass(frozen=True)
class Overlap:
    """How many rows of a given task have an input that a training task was trained on."""

    task: str
    trained: str
    queries: int
    demonstrations: int
    is_same: bool  # the very file, folder or data set


def load_given(sources: Sequence[TaskSource], recipe: Recipe, options: str) -> list[Given]:
    """Read data as it lies here; `options` are those that `yofo data check` takes for it."""
    here, found = Path.cwd(), []
    for source in (one for many in sources for one in expand(many, here) or [many]):
        whole = source.model_copy(update={"valid_share": 0.0})
        words = f"{shlex.quote(source.source)} {options}".strip()
        for entry in load_tasks([whole], recipe.seed, here, words, whole=False):
            share = source.valid_share if "valid_share" in source.model_fields_set else None
            queries = source.queries or recipe.evaluation.queries
            task, how = divide(entry.task, recipe.seed, queries, share)
            entry = replace(entry, task=task, fingerprint=fingerprint(task))
            found.append(Given(entry, source, how))
    return found


def overlaps(
    given: Sequence[Given], recipe: Recipe
) -> tuple[list[Overlap], list[tuple[TaskSource, str]]]:
    """Return what a run's training tasks have in common with given data, and what is not known.

    One training task is read at a time, and only as rows. What cannot be read any more has its
    reason in the second list.
    """
    found, unknown = [], []
    queries = [_inputs(one.entry.task.test or one.entry.task.valid) for one in given]
    shown = [_inputs(one.entry.task.train) for one in given]
    for source in _trained(recipe):
        try:
            entries = load_tasks([source], recipe.seed, Path(os.devnull))
        except YofoError as error:
            unknown.append((source, error.message))
            continue
        for entry in entries:
            trained = {text_key(example.input) for example in entry.task.train}
            for one, asked, before in zip(given, queries, shown, strict=True):
                known = sum(key in trained for key in asked)
                seen = sum(key in trained for key in before)
                if known or seen:
                    same, name = _is_same(one.source, source), one.entry.task.name
                    found.append(Overlap(name, entry.task.name, known, seen, same))
    return found, unknown


def _trained(recipe: Recipe) -> Iterator[TaskSource]:
    for source in recipe.tasks:
        if source.role == "train":
            yield from expand(source, Path(os.devnull))


def _inputs(examples: Sequence[Example]) -> list[str]:
    return [text_key(example.input) for example in examples]


def _is_same(given: TaskSource, trained: TaskSource) -> bool:
    """Tell whether two sources are one file, folder or data set."""
    try:
        here = locate.find(given.source, Path.cwd())
        there = locate.find(trained.source, Path(os.devnull))
        if here and there:
            return here.samefile(there)
    except (DataError, OSError):
        return False
    return here is there and (given.source, given.config) == (trained.source, trained.config)
