"""A row of a data file, before it becomes an example."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yofo_mlx.tasks.problems import Place, Problem
from yofo_mlx.tasks.spelling import name_key, text_key

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Row:
    """Fields by name, with the place they were read at."""

    place: Place
    fields: dict[str, Any]


def as_row(value: Any, place: Place, problems: list[Problem]) -> Iterator[Row]:
    """Yield `value` as a row; the fields of a list are named `0`, `1`, ..."""
    if isinstance(value, dict):
        yield Row(place, value)
    elif isinstance(value, list):
        yield Row(place, {str(index): item for index, item in enumerate(value)})
    else:
        hint = 'a row is an object such as {"input": ..., "output": ...}'
        problems.append(Problem(place, f"the row is {kind(value)}", hint))


def header_again(row: Row) -> Problem | None:
    """Return what is wrong with a row that only repeats the names of its columns."""
    names = [name_key(name) for name in row.fields]
    if len(names) < 2 or all(map(str.isdigit, names)):  # rows that are lists have no names
        return None
    values = []
    for value in row.fields.values():
        if not isinstance(value, str) or len(value) > _LONGEST_NAME:
            return None
        values.append(text_key(value).casefold())
        if values[-1] not in names:
            return None
    if names == values:
        message, hint = "the names of the columns again", "the row is left out; tables were joined"
        return Problem(row.place, message, hint, "warning")
    if sorted(names) == sorted(values):
        message = "the names of the columns again, in another order"
        return Problem(row.place, message, "join tables of the same columns only")
    return None


def kind(value: Any) -> str:
    """Return what a value is, in a user's words."""
    names = {
        type(None): "null",
        bool: "true/false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
        bytes: "binary",
    }
    return names.get(type(value), f"a {type(value).__name__}")
