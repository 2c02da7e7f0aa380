"""Finding the files of a source: which make up which split, and where in them the rows are."""

import re
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.recipe import TaskSource
from yofo_mlx.tasks import hub, jsontext, splits
from yofo_mlx.tasks.parquet import ClassNames
from yofo_mlx.tasks.readers import DataFile, format_of
from yofo_mlx.tasks.splits import SPLITS, Split

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_GLOB = re.compile(r"[*?]")


@dataclass
class Piece:
    """A file of one split, and the dotted path to the rows in it."""

    file: DataFile
    records: str | None = None


def is_pattern(source: str) -> bool:
    """Tell whether a source stands for several files."""
    return _GLOB.search(source) is not None


def matches(pattern: str, base: Path) -> list[Path]:
    """Return the files a pattern stands for, sorted."""
    for path in _tried(pattern, base):
        fixed = next(parent for parent in path.parents if not is_pattern(str(parent)))
        relative = str(path.relative_to(fixed))
        try:
            found = sorted(found for found in fixed.glob(relative) if found.is_file())
        except (ValueError, OSError):  # such as a ** inside a name
            return []
        if found:
            return found
    return []


def pieces(source: TaskSource, base: Path) -> tuple[dict[Split, list[Piece]], ClassNames]:
    """Return the files of each split, and the label names that go with them; or raise DataError."""
    path = find(source.source, base)
    if path is None:
        return _hub_pieces(source)
    if source.files:
        return {
            split: [Piece(_inside(path, name), source.records)]
            for split, name in source.files.items()
        }, {}
    if path.is_dir():
        return _folder_pieces(source, path), {}
    file = DataFile(path, source.source)
    if source.records and "{split}" in source.records:
        return _record_pieces(source, file), {}
    return {"train": [Piece(file, source.records)]}, {}


def find(name: str, base: Path) -> Path | None:
    """Return the local path a source names; None if it is the id of a data set on the hub."""
    if not name.strip():
        raise DataError("a task has an empty `source`", "name a file, a folder or an id on the hub")
    tried = _tried(name, base)
    for candidate in tried:
        try:
            if candidate.is_file() or candidate.is_dir():
                return candidate
            special = candidate.exists()
        except OSError as error:
            raise DataError(f"cannot read {name}: {error.strerror}", "check the path") from error
        if special:
            raise DataError(f"neither a file nor a folder: {name}", "copy the data to a file")
    if _HUB_ID.fullmatch(name) and not format_of(name):
        return None
    hint = "check the path" + ("" if "/" in name else "; ids on the hub have the form owner/name")
    if any(candidate.is_symlink() for candidate in tried):
        raise DataError(f"a link that leads nowhere: {name}", hint)
    raise DataError(f"no such file or folder: {name}", hint)


def _inside(path: Path, name: str) -> DataFile:
    folder = path if path.is_dir() else path.parent
    if not (folder / name).is_file():
        raise DataError(f"no such file: {folder / name}", "check `files` of this source")
    return DataFile(folder / name, str(folder / name))


def _folder_pieces(source: TaskSource, folder: Path) -> dict[Split, list[Piece]]:
    found = [path for path in _data_files(folder) if path.is_file()]
    if not found:
        raise DataError(f"no data files in {source.source}", "expected are such as train.jsonl")
    groups = splits.by_name(
        (str(path.relative_to(folder)), Piece(DataFile(path, str(path)), source.records))
        for path in found
    )
    if len(found) == 1 and not source.splits and not splits.meaning(next(iter(groups))):
        return {"train": next(iter(groups.values()))}
    return _assigned(source, groups)


def _data_files(folder: Path) -> list[Path]:
    """Return data files in a folder, or one level below where it has none itself."""

    def here(place: Path) -> list[Path]:
        try:
            entries = sorted(place.iterdir())
        except OSError as error:
            reason = f"cannot read {place}: {error.strerror}"
            raise DataError(reason, "check its permissions") from error
        return [path for path in entries if not path.name.startswith(".")]

    top = here(folder)
    found = [path for path in top if format_of(path.name)]
    below = [path for place in top if place.is_dir() for path in here(place)]
    return found or [path for path in below if format_of(path.name)]


def _assigned(source: TaskSource, groups: dict[str, list[Piece]]) -> dict[Split, list[Piece]]:
    known = ", ".join(groups)
    try:
        assigned = splits.assign(groups, source.splits)
    except KeyError as error:
        reason = f"{source.source}: no split `{error.args[0]}`"
        raise DataError(reason, f"there are: {known}") from None
    if "train" not in assigned:
        hint = f'say which it is, such as splits = {{ train = "{next(iter(groups))}" }}'
        raise DataError(f"{source.source}: no split `train` among: {known}", hint)
    return assigned


def _record_pieces(source: TaskSource, file: DataFile) -> dict[Split, list[Piece]]:
    pattern = source.records or ""
    try:
        known = jsontext.lists(file.path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, jsontext.JsonError):
        return {"train": [Piece(file, pattern)]}  # the reader meets and reports it
    chosen: dict[Split, list[Piece]] = {}
    for split in SPLITS:
        named = [source.splits[split]] if source.splits and split in source.splits else []
        options = named or ([] if source.splits else splits.candidates(split))
        paths = [pattern.replace("{split}", name) for name in options]
        there = [path for path in paths if path in known]
        if there:
            chosen[split] = [Piece(file, there[0])]
        elif named or split == "train":
            hint = f"lists in this file: {', '.join(known) or 'none'}"
            raise DataError(f"{source.source}: no list of rows for `{split}`", hint)
    return chosen


def _hub_pieces(source: TaskSource) -> tuple[dict[Split, list[Piece]], ClassNames]:
    if source.files:
        listing = hub.list_named(source.source, list(source.files.values()), source.revision)
    else:
        listing = hub.list_files(source.source, source.config, source.revision)
    groups = {
        name: [Piece(DataFile(Path(file), file), source.records) for file in files]
        for name, files in listing.splits.items()
    }
    if source.files:
        assigned = {split: groups[name] for split, name in source.files.items()}
    elif not source.splits and not any(map(splits.meaning, groups)):
        assigned = {"train": [piece for pieces in groups.values() for piece in pieces]}
    else:
        assigned = _assigned(source, groups)
    wanted = sorted({piece.file.shown for pieces in assigned.values() for piece in pieces})
    fetched = dict(zip(wanted, hub.fetch(listing, wanted), strict=True))
    here = {
        split: [Piece(fetched[piece.file.shown], piece.records) for piece in pieces]
        for split, pieces in assigned.items()
    }
    return here, listing.class_names


def _tried(name: str, base: Path) -> list[Path]:
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # the home of a user that is not there
        path = Path(name)
    return [path] if path.is_absolute() else [base / path, path]
