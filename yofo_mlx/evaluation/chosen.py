"""Which tasks an evaluation measures, and what there is to say of them; no other is read."""

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.errors import DataError, RecipeError
from yofo_mlx.evaluation.given import Given, Overlap, load_given, overlaps
from yofo_mlx.evaluation.subjects import Subject
from yofo_mlx.recipe.schema import Recipe, TaskSource
from yofo_mlx.tasks.checks import check_names
from yofo_mlx.tasks.registry import TaskEntry, is_embedded, load_tasks
from yofo_mlx.tasks.sources import default_name, expand

SHOWN = 60  # names of tasks in an error
NAMED = 3  # tasks in a note
NOWHERE = Path(os.devnull)  # a run's paths are absolute: what is relative is an id on the hub


@dataclass(frozen=True)
class Chosen:
    """Tasks to measure."""

    role: str  # one of `evaluations.ROLES`
    entries: list[TaskEntry]
    notes: list[str] = field(default_factory=list)  # are kept, and shown below the figures
    told: list[str] = field(default_factory=list)  # only before
    data: dict[str, Any] = field(default_factory=dict)  # of data given, by task


def from_recipe(subject: Subject, recipe: Recipe, only: Sequence[str]) -> Chosen:
    """Choose a recipe's held-out tasks, or those of some names or kinds.

    A run without any, and a training task that is named, is asked what it was not trained on.
    """
    held_out = [source for source in recipe.tasks if source.role == "held_out"]
    entries, names = _read(held_out, recipe.seed, only, subject)
    if entries and {*only} <= names:
        return Chosen("held_out", entries)
    trained = subject.recipe()[0]  # another seed or limit would ask what was trained on
    sources = [source for source in recipe.tasks if source.role == "train"]
    entries, others = _read(sources, trained.seed, only, subject)
    if missing := {*only} - others - names:
        known = sorted(names or others)
        more = ", ..." if len(known) > SHOWN else ""
        raise RecipeError(
            f"no {'held-out ' if names else ''}task is called {', '.join(sorted(missing))}",
            "there are: " + ", ".join(known[:SHOWN]) + more,
        )
    if held := {*only} & names:
        raise RecipeError(
            f"of these tasks some were held out ({', '.join(sorted(held))}), others were not",
            "measure held-out tasks and training tasks apart",
        )
    offer = f"`yofo eval {subject.arguments} --data NEW.csv`"
    if not any(entry.task.test or entry.task.valid for entry in entries):
        what = "training tasks keep no rows to ask"
        raise RecipeError(f"no task of {subject.run_id} was held out, and its {what}", offer)
    if any(source not in trained.tasks for source in sources):
        raise RecipeError(
            "training tasks are measured as they were trained only",
            f"leave `--set tasks...` out, or measure data as you like: {offer}",
        )
    note = "demonstrations are rows that it was trained on, queries are not"
    if any(entry.task.valid and not entry.task.test for entry in entries):
        note += "; validation, which chose the adapter, may have asked some of these"
    before = (subject.run.info().data or {}) if subject.run else {}
    marks = {entry.task.name: entry.fingerprint for entry in entries}
    if changed := [name for name, mark in marks.items() if before.get(name, mark) != mark]:
        note += f"; but the rows of {', '.join(changed[:NAMED])} changed since: it may know some"
    which = "measured on tasks it was trained on" + ("" if names else ", since none was held out")
    return Chosen("trained", entries, [note], [f"{which}; on a task of your own: {offer}"])


def _read(
    sources: Sequence[TaskSource], seed: int, only: Sequence[str], subject: Subject
) -> tuple[list[TaskEntry], set[str]]:
    """Return the tasks of some names or kinds, all without any; and the names there are.

    Whose name is not asked for is not read.
    """
    every = [one for source in sources for one in expand(source, NOWHERE) or [source]]
    names = {source.name or default_name(source) for source in every if not is_embedded(source)}
    wanted = [
        source
        for source in every
        if not only or is_embedded(source) or (source.name or default_name(source)) in only
    ]
    again = shlex.quote(str(subject.run.recipe_path)) if subject.run else ""
    entries = load_tasks(wanted, seed, NOWHERE, again)
    names |= {name for one in entries for name in (one.task.name, one.task.kind) if name}
    return [entry for entry in entries if _is_chosen(entry, only)], names


def _is_chosen(entry: TaskEntry, only: Sequence[str]) -> bool:
    return not only or bool({entry.task.name, entry.task.kind} & {*only})


def from_data(
    subject: Subject,
    recipe: Recipe,
    sources: Sequence[TaskSource],
    only: Sequence[str],
    options: str = "",
) -> Chosen:
    """Choose tasks made of data that is given, and tell what of it the run was trained on."""
    given = load_given(_told_apart(sources), recipe, options)
    names = {name for one in given for name in (one.entry.task.name, one.entry.task.kind) if name}
    if missing := {*only} - names:
        raise RecipeError(
            f"no task of the data given is called {', '.join(sorted(missing))}",
            "there are: " + ", ".join(sorted(names)[:SHOWN]),
        )
    given = [one for one in given if _is_chosen(one.entry, only)]
    if twice := check_names([one.entry.task.name for one in given]):
        raise DataError(twice[0].message, "give each file once")
    common: list[Overlap] = []
    told = [note for one in given[:NAMED] for note in _made(one)]
    told += [f"and {len(given) - NAMED} more of the like"] if len(given) > NAMED else []
    notes = [f"whether {subject.run_id} was trained on any of this data is not known"]
    if subject.run:
        common, unread = overlaps(given, subject.recipe()[0])
        notes = [*_trained_on(given, common, subject), *_unread(unread)]
        told += [] if notes else ["no input of it was trained on"]
    facts = {one.entry.task.name: _facts(one, common) for one in given}
    return Chosen("data", [one.entry for one in given], notes, told, facts)


def _told_apart(sources: Sequence[TaskSource]) -> list[TaskSource]:
    """Name data sets as they were given where their own names are the same."""
    names = [source.name or default_name(source) for source in sources]
    return [
        source if names.count(name) == 1 else source.model_copy(update={"name": source.source})
        for source, name in zip(sources, names, strict=True)
    ]


def _made(given: Given) -> Iterator[str]:
    """Say what a task was made of."""
    task = given.entry.task
    guessed = " (guessed)" if given.entry.guessed else ""
    yield (
        f"{task.name}: rows to show {len(task.train):,}, to ask {len(task.test or task.valid):,};"
        f" {given.division}; family {task.family}{guessed}, metric {given.entry.metric}"
    )
    yield from given.entry.notes


def _trained_on(
    given: Sequence[Given], common: Sequence[Overlap], subject: Subject
) -> Iterator[str]:
    """Say which rows have inputs that were trained on, the tasks with most such queries first."""
    tasks = {one.entry.task.name: one.entry.task for one in given}
    for one in sorted(common, key=lambda one: (one.is_same, one.queries), reverse=True)[:NAMED]:
        task, name = tasks[one.task], one.task
        queries = len(task.test or task.valid)
        if one.is_same:
            ask = f"`yofo eval {subject.arguments} --task {shlex.quote(one.trained)}`"
            yield f"{name} is the data of training task {one.trained}: {ask} asks what is new to it"
        yield (
            f"{name}: training task {one.trained} has the inputs of {one.queries:,} of {queries:,}"
            f" rows to ask, and of {one.demonstrations:,} of {len(task.train):,} to show"
        )
    if len(common) > NAMED:
        yield f"{len(common) - NAMED} more times a training task has inputs of a task given"


def _unread(unread: Sequence[tuple[TaskSource, str]]) -> Iterator[str]:
    if unread:
        names = ", ".join(source.name or default_name(source) for source, _ in unread[:NAMED])
        more = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
        yield f"what training tasks {names}{more} hold is not known any more: {unread[0][1]}"


def _facts(given: Given, common: Sequence[Overlap]) -> dict[str, Any]:
    task = given.entry.task
    return {
        "source": given.source.source,
        "demonstrations": len(task.train),
        "queries": len(task.test or task.valid),
        "division": given.division,
        "overlap": [asdict(one) for one in common if one.task == task.name],
    }
