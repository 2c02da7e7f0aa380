"""In which keys the recipes of compared runs differ."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import shorten

NONE = "–"


@dataclass(frozen=True)
class SettingRow:
    """A key of the recipe, and its value in each run."""

    key: str
    values: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Tell whether all runs have the same."""
        return len(set(self.values)) < 2


def setting_rows(recipes: Sequence[dict[str, Any]]) -> list[SettingRow]:
    """Return all keys in the order of recipes, data sets last."""
    flat = [dict(_flat(recipe)) for recipe in recipes]
    rows = [SettingRow(key, tuple(one.get(key, NONE) for one in flat)) for key in _keys(flat)]
    return rows + list(_data_rows([_data(recipe) for recipe in recipes]))


def _flat(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        elif above or key not in ("tasks", "description"):
            yield above + key, _words(value)


def _words(value: Any) -> str:
    if value is None or value in ([], {}, ""):
        return NONE
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return json.dumps(value, ensure_ascii=False)


def _keys(tables: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for table in tables for key in table))


def _data(recipe: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the data sets by name; of two that are alike in it, the last."""
    given = recipe.get("tasks")
    tasks = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return {_name(one): dict(_flat(one, "")) for one in tasks}


def _name(task: dict[str, Any]) -> str:
    source = str(task.get("source", ""))
    return str(task.get("name") or (Path(source).stem if "/" in source else source))


def _data_rows(data: Sequence[dict[str, dict[str, str]]]) -> Iterator[SettingRow]:
    yield SettingRow("tasks", tuple(_count(one) for one in data))
    for name in _keys(data):
        if any(name not in one for one in data):
            words = (f"✓ {one[name].get('role', '')}" if name in one else NONE for one in data)
            yield SettingRow(f"tasks {shorten(name, 60)}", tuple(words))
            continue
        tables = [one[name] for one in data]
        for key in _keys(tables):
            row = SettingRow(
                f"tasks {shorten(name, 60)}.{key}", tuple(one.get(key, NONE) for one in tables)
            )
            if not row.is_same:
                yield row


def _count(data: dict[str, dict[str, str]]) -> str:
    held = sum(one.get("role") == "held_out" for one in data.values())
    words = plural(len(data), "set")
    return f"{words}, {held} held out" if held else words
