"""A row of a data file, before it becomes an example."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yofo_mlx.tasks.problems import Place, Problem


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
