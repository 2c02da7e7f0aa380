"""What data sets are there: those of the recipes at hand, and what the user added."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.recipe.names import GENERATED, SUITE
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs.recipe import load_part
from yofo_mlx.tasks.reading import locate

from ..shared.recipes import find_recipes, here, place
from .reading import facts_of


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
    model: str = ""  # the recipe's

    @property
    def is_recipe(self) -> bool:
        """Tell whether a recipe names the data sets, not the user alone."""
        return self.key.endswith(".toml")


def collections() -> list[Collection]:
    """Return the recipes the user has, with their task sources."""
    return [of_recipe(path) for path in find_recipes()]


def of_recipe(path: Path, *, is_typed: bool = False) -> Collection:
    """Return a recipe's task sources, or why it cannot be read."""
    try:
        part = load_part(path)
    except YofoError as error:
        return Collection(path.stem, str(path), place(path), error=error, is_typed=is_typed)
    on_hub = tuple(is_remote(source) for source in part.tasks)
    return Collection(
        path.stem, str(path), place(path), part.tasks, on_hub, is_typed=is_typed, model=part.model
    )


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
    return of_source(source)


def of_source(source: TaskSource) -> Collection:
    """Return what a table that somebody filled in stands for."""
    text, path = source.source, Path(source.source)
    far = is_remote(source)
    made = text.startswith((SUITE, GENERATED))
    where = "on the hub" if far else "made by yofo" if made else place(path)
    title = source.name or path.name or text
    return Collection(title, text, where, (source,), (far,), is_typed=True)


def of_table(table: dict[str, Any]) -> Collection:
    """Return what was remembered; of a table that is none any more, what its path stands for."""
    with contextlib.suppress(ValueError, TypeError):
        if len(table) > 1:
            return of_source(TaskSource(**table))
    return of_path(str(table["source"]))


def remembered(one: Collection) -> dict[str, Any]:
    """Return what brings a collection back from any folder: a table, or a path alone."""
    if len(one.sources) != 1 or one.key != one.sources[0].source:
        return {"source": one.key}  # a recipe
    table = facts_of(one.sources[0])
    with contextlib.suppress(DataError, OSError, ValueError, RuntimeError):
        path = locate.find(one.key, here())
        table |= {"source": str(path)} if path else {}
    return table


def is_remote(source: TaskSource) -> bool:
    """Tell whether reading a source means fetching it from the hub."""
    if source.source.startswith(SUITE) or locate.is_pattern(source.source):
        return False
    try:
        return locate.find(source.source, Path.cwd()) is None
    except (DataError, OSError, ValueError, RuntimeError):
        return False  # reading it says what is wrong
