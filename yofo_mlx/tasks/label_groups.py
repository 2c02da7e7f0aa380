"""One data set as several tasks, each of a group of its labels."""

import difflib
from collections.abc import Collection, Iterable

from yofo_mlx.recipe.family import Family
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.problems import Place, Problem
from yofo_mlx.tasks.spelling import label_key

# The one group of a source that stands for a group: its name is the source's.
_OWN = ""
_SHOWN = 12


def by_group(source: TaskSource, name: str) -> list[TaskSource]:
    """Return a source for each group of a source's labels, itself without any."""
    return [
        source.model_copy(
            update={"name": f"{name}-{group}" if group else name, "groups": {_OWN: labels}}
        )
        for group, labels in (source.groups or {}).items()
    ] or [source]


def labels_of(source: TaskSource) -> tuple[str, ...]:
    """Return the labels of a source that stands for a group; none of any other."""
    return tuple(dict.fromkeys((source.groups or {}).get(_OWN, ())))


def in_group(source: TaskSource, items: Iterable[Item]) -> list[Item]:
    """Return the rows all of whose labels are in the group that a source stands for."""
    labels = set(labels_of(source))
    return [item for item in items if labels.issuperset(item.answers)]


def mistake(source: TaskSource, family: Family, known: Collection[str]) -> Problem | None:
    """Return what is wrong with groups of labels, given the labels of the data."""
    place = Place(source.source)
    if family not in LABELLED:
        message = f"`groups` are of labels, and family {family} has none"
        return Problem(place, message, 'leave `groups` out, or give family = "classification"')
    unknown = [
        f"{shorten(label, 40)!r}{f' ({group})' if group else ''}{_guess(label, known)}"
        for group, labels in (source.groups or {}).items()
        for label in labels
        if label not in known
    ]
    if unknown:
        more = f"; and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        message = f"`groups` name labels that no row has: {'; '.join(unknown[:_SHOWN])}{more}"
        return Problem(place, message, _names(sorted(known)))
    return None


def ungrouped(source: TaskSource, items: Iterable[Item]) -> str:
    """Return how many rows are of no group; nothing if all are of one."""
    if _OWN in (source.groups or {}):
        return ""
    groups = [set(labels) for labels in (source.groups or {}).values()]
    rows = sum(not any(group.issuperset(item.answers) for group in groups) for item in items)
    return f"{plural(rows, 'row')} with labels of no group" if rows else ""


def _guess(label: str, known: Iterable[str]) -> str:
    keys = {label_key(name): name for name in known}
    close = difflib.get_close_matches(label_key(label), keys, n=1)
    return f", did you mean {shorten(keys[close[0]], 40)!r}?" if close else ""


def _names(labels: list[str]) -> str:
    more = f", and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return f"its labels: {', '.join(shorten(one, 40) for one in labels[:_SHOWN])}{more}"
