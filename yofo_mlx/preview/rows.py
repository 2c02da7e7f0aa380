"""The rows of a data set, to look at: some of them, found or shuffled."""

import random
from collections.abc import Iterator
from typing import Any

from yofo_mlx.preview.loaded import demonstrations, set_of
from yofo_mlx.system.text import clip
from yofo_mlx.tasks import writing
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.families import LABELLED


def rows(
    source: dict[str, Any],
    name: str,
    find: str = "",
    seed: int | None = None,
    count: int = 500,
    longest: int = 2000,
) -> dict[str, Any]:
    """Return rows with their place, input and answer, and how many there are of them.

    Without a `seed` for their order, one of each label comes first. Sides are cut at `longest`
    characters.
    """
    loaded = set_of(source, name)
    items = list(loaded.all_items())
    if find:
        items = [item for item in items if _holds(item, find.casefold())]
    if seed is not None:
        random.Random(seed).shuffle(items)
    elif loaded.family in LABELLED:
        items = list(_one_of_each_first(items))
    shown = [
        (str(item.place), clip(item.example.input, longest), clip(item.example.output, longest))
        for item in items[:count]
    ]
    return {"total": len(items), "rows": shown}


def text_of(source: dict[str, Any], name: str, most: int = 20_000) -> dict[str, Any]:
    """Return a data set's demonstrations as JSON lines, which yofo reads back as the same."""
    loaded = set_of(source, name)
    items = demonstrations(loaded)[:most]
    return {
        "text": "".join(writing.lines(items, loaded.instruction, writing.beside(items))),
        "rows": len(items),
    }


def _holds(item: Item, text: str) -> bool:
    return text in item.example.input.casefold() or text in item.example.output.casefold()


def _one_of_each_first(items: list[Item]) -> Iterator[Item]:
    seen: set[str] = set()
    later: list[Item] = []
    for item in items:
        if item.example.output in seen:
            later.append(item)
        else:
            seen.add(item.example.output)
            yield item
    yield from later
