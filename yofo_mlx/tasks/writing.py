"""From examples to rows of JSON Lines that yofo reads back as the same examples."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.text import escaped
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.reading.rows import Row, header_again

_JOINED_BY = TaskSource.model_fields["separator"].default


def lines(
    items: Iterable[Item], instruction: str, more: Sequence[str] = (), *, as_ascii: bool = False
) -> Iterator[str]:
    """Yield the line of each example; what a terminal would obey is written as JSON's escapes.

    `more`: keys of what is written beside the answers, see `beside`.
    """
    for item in items:
        row = _row(item, instruction) | {key: getattr(item.example, key) for key in more}
        yield escaped(json.dumps(row, ensure_ascii=as_ascii)) + "\n"


def beside(items: Iterable[Item]) -> list[str]:
    """Return the keys of [[tasks]] that name columns of what examples have beside their answers."""
    keys, examples = ("rejected", "doubt", "teacher"), [item.example for item in items]
    return [key for key in keys if any(getattr(one, key) for one in examples)]


def _row(item: Item, instruction: str) -> dict[str, Any]:
    example = item.example
    is_joined = item.is_list and _JOINED_BY.join(item.answers) == example.output
    keeps_list = is_joined or bool(item.references)
    row: dict[str, Any] = {"system": instruction} if instruction else {}
    row |= {"input": example.input, "output": list(item.answers) if keeps_list else example.output}
    if header_again(Row(item.place, row)):
        row["id"] = ""  # one field more, which has no meaning: the row is no header
    return row
