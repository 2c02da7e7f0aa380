"""Training rows that yofo made or chose, as data sets and the tables that read them back."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import to_toml
from yofo_mlx.recipe.schema import Recipe, TaskSource
from yofo_mlx.system.files import new_folder, write_text
from yofo_mlx.system.text import escaped
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example

RECIPE, DATA = "recipe.toml", "data"
# What a task and its `[[tasks]]` table call by the same name.
_SHARED = TaskSource.model_fields.keys() & {one.name for one in fields(TaskEntry)}

Record = Mapping[str, Any]
"""A row by its columns, `input` and `output` among them."""


@dataclass(frozen=True)
class Table:
    """A task, the rows it is to be trained on, and how its other rows are written."""

    entry: TaskEntry
    rows: Sequence[Record]
    other: Callable[[Example], Record]
    more: Sequence[str] = ()  # columns that the recipe reads too, each under the key of its name


def begin(folder: Path, recipe: Recipe, name: str, kind: str, about: dict[str, Any]) -> None:
    """Make a folder of such data, or go on in one that is about the same; refuse any other.

    `name` is the file that says what it is about, `kind` what such a folder is called.
    """
    if recipe.objective.rejected or recipe.objective.smoothing:
        raise RecipeError(
            f"a {kind} does not keep rejected answers or doubt, which the objective goes by",
            "leave objective.rejected and objective.smoothing out of its recipe",
        )
    try:
        there = json.loads((folder / name).read_text("utf-8"))
        there = {key: there[key] for key in about}
    except (OSError, ValueError, TypeError, KeyError):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            wrong = f"{folder} exists already, and is no {kind}"
            raise RecipeError(wrong, "give another --out") from None
        there = None
    if there is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / name, json.dumps(about | {"finished": False}, indent=1))
        except OSError as error:
            wrong = f"cannot write {folder}: {error.strerror}"
            raise RecipeError(wrong, "choose another place") from error
    elif there != about:
        changed = next(key for key in about if there[key] != about[key])
        what = "recipe: its tasks differ" if changed == "tasks" else changed
        raise RecipeError(f"{folder} is the {kind} of another {what}", "give another --out")


def write(folder: Path, recipe: Recipe, tables: Sequence[Table]) -> None:
    """Write the data sets and a recipe that trains on them; the held-out ones stay as they are."""
    names = [_folder_name(number, table.entry) for number, table in enumerate(tables)]
    with new_folder(folder / DATA) as data:
        for name, table in zip(names, tables, strict=True):
            place, task = data / name, table.entry.task
            place.mkdir()
            splits = {"train": table.rows}
            splits |= {name: list(map(table.other, getattr(task, name))) for name in _ASKED}
            for split, rows in splits.items():
                if rows or split == "train":
                    text = "".join(_line(row, table.entry) for row in rows)
                    (place / f"{split}.jsonl").write_text(text, encoding="utf-8")
    sources = [
        _source(table, f"./{DATA}/{name}") for name, table in zip(names, tables, strict=True)
    ]
    sources += [source for source in recipe.tasks if source.role == "held_out"]
    write_text(folder / RECIPE, to_toml(recipe.model_copy(update={"tasks": tuple(sources)})))


_ASKED = ("valid", "test")


def output_of(text: str, entry: TaskEntry) -> str | list[str]:
    """Return an answer as it is read back: a list of labels, unless all of it is one label."""
    between = entry.separator
    if between is None or (between in text and text in entry.task.labels):
        return text
    return text.split(between)


def _line(row: Record, entry: TaskEntry) -> str:
    output = row["output"]
    written = output_of(output, entry) if isinstance(output, str) else output
    return escaped(json.dumps({**row, "output": written}, ensure_ascii=False)) + "\n"


def _is_among(output: Any, entry: TaskEntry) -> bool:
    """Tell whether an answer is made of the task's labels."""
    found = output_of(output, entry) if isinstance(output, str) else output
    return set([found] if isinstance(found, str) else found) <= set(entry.task.labels)


def _folder_name(number: int, entry: TaskEntry) -> str:
    """Return a name that no other task has, and that a file system takes."""
    return f"{number:03}-" + re.sub(r"[^\w.-]+", "-", entry.task.name)[:80]


def _source(table: Table, place: str) -> TaskSource:
    """Return the table of a task whose rows are in a folder of ours."""
    entry, task = table.entry, table.entry.task
    shared = {name: getattr(entry, name) for name in _SHARED}
    shared |= {name: name for name in table.more}
    keeps = all(_is_among(row["output"], entry) for row in table.rows)
    return TaskSource(
        **{name: value for name, value in shared.items() if value is not None},
        name=task.name,
        source=place,
        family=task.family,
        instruction=task.instruction,
        input="input",
        output="output",
        labels=task.labels if keeps else None,
        valid_share=0.0,
    )
