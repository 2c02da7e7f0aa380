"""What a command line names as data: files, folders, hub ids, recipes, with keys of `[[tasks]]`."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from yofo_mlx.recipe.file import apply_override, find_recipe, shipped_recipes, validate
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.recipe.section import LabelRange
from yofo_mlx.runs.recipe import load_part
from yofo_mlx.system import toml
from yofo_mlx.system.talk import quoted
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.problems import Problem, errors
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.reading.formats import format_of
from yofo_mlx.tasks.registry import load_sets
from yofo_mlx.tasks.sources import LoadedSource
from yofo_mlx.tasks.splits import Split, meaning

# A key and its value, as hints give them to whoever writes a recipe.
_KEY = re.compile(
    rf"\b({'|'.join(TaskSource.model_fields)}) = " + r'("(?:[^"\\]|\\.)*"|\{[^{}]*\})'
)


@dataclass(frozen=True)
class DataRequest:
    """Paths with the keys that say how they are read, as somebody wrote them."""

    paths: Sequence[str]
    input: str | None = None
    output: str | None = None
    records: str | None = None
    overrides: Sequence[str] = ()

    @property
    def keys(self) -> dict[str, str]:
        """Return the keys that have options of their own."""
        keys = {"input": self.input, "output": self.output, "records": self.records}
        return {key: value for key, value in keys.items() if value is not None}

    def __str__(self) -> str:
        """Return the words of a command line that say the same."""
        options = [word for key, value in self.keys.items() for word in (f"--{key}", value)]
        options += [word for override in self.overrides for word in ("--set", override)]
        return quoted(*self.paths, *options)


@dataclass(frozen=True)
class Group:
    """What was read at one path: the sources of a recipe, or the one that the path stands for."""

    sets: list[LoadedSource]
    recipe: Path | None = None
    table: dict[str, Any] = field(default_factory=dict)
    """Keys of the source that a path stands for, as they would stand in a recipe."""
    told: str = ""
    """How the path was read, where that is not as it stands there."""
    label_subset: LabelRange | None = None
    """Labels that an episode shows of any task, where a recipe says so."""


def read(request: DataRequest) -> Iterator[Group]:
    """Yield what is read at each path."""
    for table in tables(request.paths):
        if recipe := None if "files" in table else _recipe(table["source"]):
            part = load_part(recipe, request.overrides)
            sets = [one for source in part.tasks for one in load_sets(source, recipe.parent)]
            yield Group(sets, recipe, label_subset=part.episodes.label_subset)
            continue
        table |= request.keys
        for override in request.overrides:
            apply_override(table, override)
        yield _read_table(table)


def _read_table(table: dict[str, Any]) -> Group:
    """Read a source as it stands there, or else as one of the readings that it may have meant."""
    source = source_of(table)
    sets = _load_here(source)
    if any(any(loaded.all_items()) for loaded in sets):
        return Group(sets, table=table)
    for keys in locate.other_readings(source, Path.cwd()):
        found = _load_here(source.model_copy(update=keys))
        if 2 * sum(bool(errors(loaded.problems)) for loaded in found) < len(found):
            told = f"{source.source}: read with {toml.pairs(keys, ', ')}"
            return Group(found, table=table | keys, told=told)
    return Group(sets, table=table)


def _load_here(source: TaskSource) -> list[LoadedSource]:
    sets = load_sets(source, Path.cwd())
    for loaded in sets:
        loaded.problems = [as_options(problem) for problem in loaded.problems]
    return sets


def as_options(problem: Problem) -> Problem:
    """Return a problem whose hint names keys as a command line does, not as a recipe."""
    return replace(problem, hint=with_options(problem.hint))


def with_options(hint: str) -> str:
    """Return a hint with keys named as a command line does."""
    return _KEY.sub(_option, hint)


def _option(found: re.Match[str]) -> str:
    key = found[1]
    try:
        value = tomllib.loads(found[0])[key]
    except ValueError:  # cut off, or data that only look like it
        return found[0]
    if key == "source":
        return quoted(value)
    if key in DataRequest.__dataclass_fields__:
        return quoted(f"--{key}", value)
    return quoted("--set", f"{key}={value if isinstance(value, str) else found[2]}")


def _recipe(name: str) -> Path | None:
    """Return the recipe a name stands for, unless it stands for data."""
    if name.endswith(".toml"):
        return find_recipe(name)
    shipped = {path.stem: path for path in shipped_recipes()}
    return None if Path(name).exists() else shipped.get(name)


def source_of(table: dict[str, Any]) -> TaskSource:
    """Return a source; its mistakes are told as those of a recipe that holds it."""
    tasks = [table, {"source": "tiny:train"}]
    whole = {"model": "tiny", "train": {"steps": 1}, "tasks": tasks}
    return validate(whole, shorten(table["source"], 200)).tasks[0]


def tables(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return a source for each path; files of one data set that are its splits are one source.

    Such files lie in one folder, and their names differ by the split: x_train.csv and x_test.csv.
    """
    groups: dict[tuple[Path, tuple[str, ...]], dict[str, str]] = {}
    for path in map(Path, paths):
        if split := _split_of(path):
            groups.setdefault(_set_of(path), {}).setdefault(split, path.name)
    joined = {key: files for key, files in groups.items() if "train" in files and len(files) > 1}
    folders = Counter(folder for folder, _ in joined)
    found: list[dict[str, Any]] = []
    for text in paths:
        path = Path(text)
        files = joined.get(_set_of(path), {})
        if path.name not in files.values():
            found.append({"source": text})
        elif path.name == files["train"]:
            words = _set_of(path)[1]
            name = {"name": "_".join(words)} if folders[path.parent] > 1 and words else {}
            found.append({"source": str(path.parent), **name, "files": files})
    return found


def _split_of(path: Path) -> Split | None:
    return meaning(path.name.split(".")[0]) if format_of(path.name) else None


def _set_of(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return what the files of one data set share: folder, and name without the split in it."""
    words = re.findall(r"[^\W\d_]+", path.name.split(".")[0])
    return path.parent, tuple(word for word in words if meaning(word) is None)
