"""Which files of a data set are which split: one reading for folders here and on the hub."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

from yofo_mlx.errors import DataError
from yofo_mlx.tasks.reading.formats import DataFile, format_of
from yofo_mlx.tasks.reading.hubcard import Card, Patterns
from yofo_mlx.tasks.reading.parquet import ClassNames
from yofo_mlx.tasks.splits import by_name, meaning, name_in

_ABOUT_DATA = (
    "dataset_infos.json",
    "dataset_info.json",
    "dataset_dict.json",
    "state.json",
    "config.json",
    "metadata.json",
)

# Forms of data that are not read.
_UNREAD = re.compile(r"\.(bz2|zst|xz|zip|tar|7z|txt|xlsx?|ods|pkl|pickle|feather|orc|avro)$", re.I)
# What stands for any names in the patterns of a card, `**/` for folders too.
_WILD = re.compile(r"\*\*/|\*+|\?|\[(!?)([^\]]+)\]")

Fetch = Callable[[Sequence[str]], list[DataFile]]
"""Bring files of a listing onto this machine."""


LeftOut = tuple[str, str]
"""What of a data set is not read, and what to do about it."""


@dataclass
class Listing:
    """Files of one configuration, by the split names of the data set."""

    splits: dict[str, list[str]]
    fetch: Fetch
    class_names: ClassNames = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass
class Layout:
    """The configuration that was chosen, and its files by split."""

    config: str | None
    splits: dict[str, list[str]]
    left_out: list[LeftOut] = field(default_factory=list)


def is_data(name: str) -> bool:
    """Tell whether a file of a data set holds rows."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return format_of(name) is not None and path.name not in _ABOUT_DATA and not hidden


def choose(shown: str, config: str | None, files: Sequence[str], card: Card) -> Layout | None:
    """Return the files of one configuration by split name, None if there are none at all."""
    data = [name for name in files if is_data(name)]
    if card.configs:
        picked = _pick(shown, config, list(card.configs), card.default)
        splits = _match(card.configs[picked], data)
        return Layout(picked, splits, _unmatched(card.configs[picked], splits)) if splits else None
    folders = _config_folders(data)
    if config is not None and data and folders and config not in folders:
        raise _unknown(shown, config, folders)
    loose = [name for name in data if _config_of(name) is None]
    if loose and config is None:
        left_out = _unread(files, None)
        if folders:
            hint = f'they are configurations, such as config = "{folders[0]}"'
            left_out.append((f"not read: {_listed(folders)}", hint))
        return Layout(None, by_name((name, name) for name in loose), left_out)
    if not folders:
        return None
    picked = _pick(shown, config, folders, "default")
    chosen = [name for name in data if _config_of(name) == picked]
    return Layout(picked, by_name((name, name) for name in chosen), _unread(files, picked))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _unread(files: Sequence[str], config: str | None) -> list[LeftOut]:
    """Tell of files that are a split by their names, in a form that is not read."""
    found = [name for name in files if _UNREAD.search(name) and meaning(name_in(name))]
    found = [name for name in found if _config_of(name) in (None, config)]
    hint = "unpack it, or save it as JSON Lines, CSV or Parquet"
    return [(f"not read: {_listed(found)}", hint)] if found else []


def _unmatched(patterns: Patterns, splits: dict[str, list[str]]) -> list[LeftOut]:
    """Tell of splits of a card that none of the files is of."""
    empty = [split for split in patterns if split and split not in splits]
    hint = "fetch them, or mend the patterns in README.md"
    return [(f"no files of {_listed(empty)}, which its card names", hint)] if empty else []


def _unknown(shown: str, config: str, known: list[str]) -> DataError:
    return DataError(f"{shown}: no configuration `{config}`", f"there are: {', '.join(known)}")


def _pick(shown: str, config: str | None, known: list[str], default: str | None) -> str:
    if config is not None:
        if config not in known:
            raise _unknown(shown, config, known)
        return config
    if len(known) == 1 or default in known:
        return default if default in known and default else known[0]
    listed = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    raise DataError(
        f"{shown} has several configurations: {listed}", f'name one, such as config = "{known[0]}"'
    )


def _match(patterns: Patterns, files: list[str]) -> dict[str, list[str]]:
    found = {
        split: [name for name in files if any(_fits(name, pattern) for pattern in wanted)]
        for split, wanted in patterns.items()
    }
    if list(found) != [""]:
        return {split: names for split, names in found.items() if names}
    # The card names files, but no splits: without any in their names, they are one.
    groups = by_name((name, name) for name in found[""])
    return groups if not found[""] or any(map(meaning, groups)) else {"train": found[""]}


def _fits(name: str, pattern: str) -> bool:
    return _expression(pattern).fullmatch(name) is not None


@lru_cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Return what a pattern means on the hub, where only `**` reaches into folders."""
    parts, last = [], 0
    for found in _WILD.finditer(pattern):
        wild = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(found[0], ".*")
        if found[2]:
            inner = found[2].replace("\\", "\\\\").replace("[", "\\[")
            wild = f"[{'^' * bool(found[1])}{inner}]"
        parts += [re.escape(pattern[last : found.start()]), wild]
        last = found.end()
    try:
        return re.compile("".join([*parts, re.escape(pattern[last:])]), re.DOTALL)
    except re.error:  # such as [z-a]
        return re.compile(re.escape(pattern))


def _config_of(name: str) -> str | None:
    """Return the folder that names a configuration: the first that is no split and not `data`."""
    folders = PurePosixPath(name).parts[:-1]
    return next((part for part in folders if part != "data" and not _is_split_folder(part)), None)


def _is_split_folder(part: str) -> bool:
    return meaning(part.removeprefix("partial-")) is not None


def _config_folders(files: list[str]) -> list[str]:
    return sorted({config for name in files if (config := _config_of(name)) is not None})
