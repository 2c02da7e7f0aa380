"""Which files of a data set are which split: one reading for folders here and on the hub."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from yofo_mlx.errors import DataError
from yofo_mlx.tasks.hubcard import Card, Patterns
from yofo_mlx.tasks.parquet import ClassNames
from yofo_mlx.tasks.readers import DataFile, format_of
from yofo_mlx.tasks.splits import by_name, meaning

_ABOUT_DATA = (
    "dataset_infos.json",
    "dataset_info.json",
    "dataset_dict.json",
    "state.json",
    "config.json",
    "metadata.json",
)

Fetch = Callable[[Sequence[str]], list[DataFile]]
"""Bring files of a listing onto this machine."""


@dataclass
class Listing:
    """Files of one configuration, by the split names of the data set."""

    splits: dict[str, list[str]]
    fetch: Fetch
    class_names: ClassNames = field(default_factory=dict)


@dataclass
class Layout:
    """The configuration that was chosen, and its files by split."""

    config: str | None
    splits: dict[str, list[str]]


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
        return Layout(picked, splits) if splits else None
    folders = _config_folders(data)
    if config is not None and data and folders and config not in folders:
        raise _unknown(shown, config, folders)
    loose = [name for name in data if _config_of(name) is None]
    if loose and config is None:
        return Layout(None, by_name((name, name) for name in loose))
    if not folders:
        return None
    picked = _pick(shown, config, folders, "default")
    return Layout(picked, by_name((name, name) for name in data if _config_of(name) == picked))


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
    return fnmatchcase(name, pattern) or fnmatchcase(name, pattern.replace("**/", ""))


def _config_of(name: str) -> str | None:
    """Return the folder that names a configuration: the first that is no split and not `data`."""
    folders = PurePosixPath(name).parts[:-1]
    return next((part for part in folders if part != "data" and not _is_split_folder(part)), None)


def _is_split_folder(part: str) -> bool:
    return meaning(part.removeprefix("partial-")) is not None


def _config_folders(files: list[str]) -> list[str]:
    return sorted({config for name in files if (config := _config_of(name)) is not None})
