"""Sources that were read, kept for the next question about them."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.registry import load_sets
from yofo_mlx.tasks.sources import LoadedSource


def sets_of(source: dict[str, Any]) -> list[LoadedSource]:
    """Read the data sets of a `[[tasks]]` table, or take them as they were read before."""
    return _sets(json.dumps(source, sort_keys=True))


def set_of(source: dict[str, Any], name: str) -> LoadedSource:
    """Return one data set of a source by its name."""
    for loaded in sets_of(source):
        if loaded.name == name:
            return loaded
    raise DataError(f"{source['source']}: no data set is called {name!r} any more", "read it again")


def demonstrations(loaded: LoadedSource) -> list[Item]:
    """Return the rows that demonstrations are taken of: the training split, if there is one."""
    return loaded.items.get("train") or list(loaded.all_items())


@lru_cache(maxsize=2)
def _sets(facts: str) -> list[LoadedSource]:
    return load_sets(TaskSource(**json.loads(facts)), Path.cwd())
