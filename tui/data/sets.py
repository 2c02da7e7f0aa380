"""What there is to know about data sets, kept small; a process of their own reads the files."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.recipe.names import SUITE
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs.recipe import load_sources
from yofo_mlx.tasks.reading import locate

from ..shared.recipes import find_recipes, place


@dataclass(frozen=True)
class Collection:
    """A recipe's task sources, or one path the user typed."""

    title: str
    key: str  # no two have the same
    place: str = ""
    sources: tuple[TaskSource, ...] = ()
    on_hub: tuple[bool, ...] = ()  # for each source, whether reading it means fetching it
    error: YofoError | None = None  # why the recipe cannot be read
    is_typed: bool = False


@dataclass(frozen=True)
class Finding:
    """A problem of a data set, and where."""

    place: str
    message: str
    hint: str = ""
    is_error: bool = True


@dataclass(frozen=True)
class DataSet:
    """One data set, summed up."""

    name: str
    place: str
    family: str
    counts: tuple[int, int, int] = (0, 0, 0)  # train, valid, test: what a model reads of it
    columns: str = ""
    instruction: str = ""
    labels: list[tuple[str, int]] = field(default_factory=list)  # the most frequent, how often
    label_count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)  # the first ones, errors before warnings
    errors: int = 0
    warnings: int = 0
    notes: list[str] = field(default_factory=list)  # what is left out or set aside


def from_facts(facts: dict[str, Any]) -> DataSet:
    """Return the data set that JSON holds."""
    whole: dict[str, Any] = {
        "counts": tuple(facts["counts"]),
        "labels": [(label, times) for label, times in facts["labels"]],
        "examples": [(text, answer) for text, answer in facts["examples"]],
        "problems": [Finding(**problem) for problem in facts["problems"]],
    }
    return DataSet(**facts | whole)


def unread(source: TaskSource, message: str, hint: str = "") -> DataSet:
    """Return what is known of a source that cannot be read."""
    problem = Finding(source.source, message, hint)
    name = source.name or source.source
    family = source.family or "other"
    return DataSet(name, source.source, family, problems=[problem], errors=1)


def collections() -> list[Collection]:
    """Return the recipes the user has, with their task sources."""
    return [of_recipe(path) for path in find_recipes()]


def of_recipe(path: Path, *, is_typed: bool = False) -> Collection:
    """Return a recipe's task sources, or why it cannot be read."""
    try:
        tasks = load_sources(path)
    except YofoError as error:
        return Collection(path.stem, str(path), place(path), error=error, is_typed=is_typed)
    on_hub = tuple(is_remote(source) for source in tasks)
    return Collection(path.stem, str(path), place(path), tasks, on_hub, is_typed=is_typed)


def of_path(text: str) -> Collection:
    """Return what a typed path or hub id stands for; a recipe file stands for its sources."""
    path = Path(text)
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # reading it says what is wrong
        path = path.expanduser()
        if path.suffix == ".toml" and path.is_file():
            return of_recipe(path.absolute(), is_typed=True)
    try:
        source = TaskSource(source=text)
    except ValueError as error:
        wrong = DataError("this is no path and no id", str(error).split("\n")[0])
        return Collection(text, text, error=wrong, is_typed=True)
    far = is_remote(source)
    folder = "in this folder" if path.parent == Path() else str(path.parent)
    where = "on the hub" if far else folder
    return Collection(path.name or text, text, where, (source,), (far,), is_typed=True)


def is_remote(source: TaskSource) -> bool:
    """Tell whether reading a source means fetching it from the hub."""
    if source.source.startswith(SUITE) or locate.is_pattern(source.source):
        return False
    try:
        return locate.find(source.source, Path.cwd()) is None
    except (DataError, OSError, ValueError, RuntimeError):
        return False  # reading it says what is wrong
