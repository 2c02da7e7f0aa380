"""Which files make up the train, valid and test splits."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Literal, TypeVar

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

Thing = TypeVar("Thing")

_ALIASES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "eval": "valid",
    "test": "test",
    "testing": "test",
}
_SHARD = re.compile(r"-\d{5}-of-\d{5}(-[0-9a-f]{16})?$")


def candidates(split: Split) -> list[str]:
    """Return the names a split goes by, the usual one first."""
    return [name for name, meaning in _ALIASES.items() if meaning == split]


def meaning(name: str) -> Split | None:
    """Return the split a name such as `validation_matched` stands for."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((_ALIASES[word] for word in reversed(words) if word in _ALIASES), None)


def name_in(path: str) -> str:
    """Return the split name in a file's path: from the file, else from the folders above it."""
    pure = PurePath(path)
    stem = _SHARD.sub("", pure.name.split(".")[0])
    if meaning(stem):
        return stem
    folders = (part.removeprefix("partial-") for part in pure.parts[-2::-1])
    return next((folder for folder in folders if meaning(folder)), stem)


def by_name(things: Iterable[tuple[str, Thing]]) -> dict[str, list[Thing]]:
    """Group things by the split name in their paths."""
    groups: dict[str, list[Thing]] = {}
    for path, thing in things:
        groups.setdefault(name_in(path), []).append(thing)
    return groups


def assign(
    groups: Mapping[str, list[Thing]], wanted: Mapping[Split, str] | None
) -> dict[Split, list[Thing]]:
    """Return what belongs to each split; KeyError names a wanted split that is not there."""
    if wanted:
        return {split: _named(groups, name) for split, name in wanted.items()}
    found: dict[Split, list[Thing]] = {}
    for name, things in groups.items():
        split = meaning(name)
        if split:
            found.setdefault(split, []).extend(things)
    return found


def _named(groups: Mapping[str, list[Thing]], name: str) -> list[Thing]:
    if name in groups:
        return groups[name]
    if "*" in name:
        fitting = [things for known, things in groups.items() if fnmatchcase(known, name)]
        if fitting:
            return [thing for things in fitting for thing in things]
    split = _ALIASES.get(name)
    loose = [things for known, things in groups.items() if split and meaning(known) == split]
    if not loose:
        raise KeyError(name)
    return [thing for things in loose for thing in things]
