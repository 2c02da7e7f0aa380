"""Finding a value among the fields of a row: by a column's name or a dotted path."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

from yofo_mlx.tasks.problems import RowError
from yofo_mlx.tasks.reading.rows import kind
from yofo_mlx.tasks.spelling import name_key


class Missing(RowError):
    """A field that is not there."""

    def __init__(self, paths: list[str], known: list[str]) -> None:
        guesses = [guess for path in paths if (guess := _guess(path, known))]
        hint = f"did you mean {' and '.join(guesses)}? " if guesses else ""
        fields = ", ".join(f"`{name}`" for name in known[:12]) or "none"
        message = " and ".join(f"no field `{path}`" for path in paths)
        super().__init__(message, f"{hint}fields there: {fields}")
        self.paths = paths
        self.known = known


def _guess(path: str, known: list[str]) -> str:
    keys = {name_key(name): name for name in known}
    close = difflib.get_close_matches(name_key(path), keys, n=1)
    return f"`{keys[close[0]]}`" if close else ""


def name_in(fields: Iterable[str], wanted: str) -> str | None:
    """Return the field of that name, in whatever letter case, if there is one such field."""
    if wanted in fields:
        return wanted
    key = name_key(wanted)
    alike = [name for name in fields if name_key(name) == key]
    return alike[0] if len(alike) == 1 else None


def look_up(fields: Any, path: str) -> Any:
    """Return what lies at a dotted path; a list of objects is followed into each of them."""
    name = name_in(fields, path) if isinstance(fields, dict) else None
    value = fields[name] if name is not None else _follow(fields, path.split("."), path)
    if is_absent(value):
        raise RowError(f"`{path}` is {'null' if value is None else 'NaN'}")
    return value


def is_absent(value: Any) -> bool:
    """Tell whether a value stands for none: null, or the NaN of a table."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_blank(value: Any) -> bool:
    """Tell whether a value says nothing: absent, or empty."""
    return is_absent(value) or value in ("", [], {}) or (isinstance(value, str) and value.isspace())


def number_in(value: Any) -> float | None:
    """Return a number, also where a table holds it as text; None if it is none."""
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def _follow(value: Any, steps: list[str], path: str) -> Any:
    for index, step in enumerate(steps):
        if isinstance(value, dict):
            name = name_in(value, step)
            if name is None:
                raise Missing([path], list(value))
            value = value[name]
        elif isinstance(value, list) and step.isascii() and step.isdigit():
            if int(step) >= len(value):
                raise RowError(f"`{path}`: the list has {len(value)} entries")
            value = value[int(step)]
        elif isinstance(value, list):
            return [_follow(entry, steps[index:], path) for entry in value]
        else:
            raise RowError(f"`{path}`: there is {kind(value)} where an object was expected")
    return value
