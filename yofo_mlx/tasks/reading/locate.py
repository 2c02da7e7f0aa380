"""Finding the files of a source: which make up which split, and where in them the rows are."""

import difflib
import os
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.text import clip
from yofo_mlx.tasks import splits
from yofo_mlx.tasks.reading import folders, hub, jsontext
from yofo_mlx.tasks.reading.formats import DataFile, format_of
from yofo_mlx.tasks.reading.layout import LeftOut, Listing
from yofo_mlx.tasks.reading.parquet import ClassNames
from yofo_mlx.tasks.splits import SPLITS, Split
from yofo_mlx.tasks.synthetic import names as generated
from yofo_mlx.tasks.synthetic.files import files

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_GLOB = re.compile(r"[*?]")
SPLIT = "{split}"
"""Stands for the name of a split in `records`."""


@dataclass
class Piece:
    """A file of one split, and the dotted path to the rows in it."""

    file: DataFile
    records: str | None = None


def is_pattern(source: str) -> bool:
    """Tell whether a source stands for several files, or several generated tasks."""
    if generated.is_generated(source):
        return not generated.is_one(source)
    return _GLOB.search(source) is not None


def matches(pattern: str, base: Path) -> list[Path]:
    """Return the files a pattern stands for, sorted; of generated tasks, the source of each."""
    if generated.is_generated(pattern):
        return [Path(task.source) for task in generated.named(pattern)]
    path = _place(pattern, base)
    fixed = next(parent for parent in path.parents if not is_pattern(str(parent)))
    try:
        found = fixed.glob(str(path.relative_to(fixed)))
        return sorted(file for file in found if file.is_file())
    except (ValueError, OSError):  # such as a ** inside a name
        return []


@dataclass
class Found:
    """The files of each split, the label names that go with them, and what is not read."""

    pieces: dict[Split, list[Piece]]
    class_names: ClassNames = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


def pieces(source: TaskSource, base: Path) -> Found:
    """Return the files of a source, or raise DataError."""
    path = find(source.source, base)
    listing = _listing(source, path)
    if source.records and SPLIT in source.records:
        return _record_pieces(source, listing)
    if source.files:
        assigned = {split: listing.splits[name] for split, name in source.files.items()}
    elif len(listing.splits) == 1 and not source.splits and not _meant(listing, path):
        assigned = {"train": next(iter(listing.splits.values()))}
    else:
        assigned = _assigned(source, listing.splits, is_here=path is not None)
    wanted = sorted({name for names in assigned.values() for name in names})
    fetched = dict(zip(wanted, listing.fetch(wanted), strict=True))
    found = {
        split: [Piece(fetched[name], source.records) for name in names]
        for split, names in assigned.items()
    }
    return Found(found, listing.class_names, listing.left_out + _loose(source, listing, wanted))


def _loose(source: TaskSource, listing: Listing, used: Sequence[str]) -> list[LeftOut]:
    """Tell of data files that are of no split by their names, where nobody chose so."""
    names = [name for names in listing.splits.values() for name in names if name not in used]
    if not names or source.files or source.splits:
        return []
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return [(f"not read: {shown}", "its name tells no split; `splits` or `files` can say it")]


def _listing(source: TaskSource, path: Path | None) -> Listing:
    if generated.is_generated(source.source):
        return _generated(source.source)
    named = list(source.files.values()) if source.files else None
    if path is None:
        if named:
            return hub.list_named(source.source, named, source.revision)
        return hub.list_files(source.source, source.config, source.revision)
    if named:
        return folders.list_named(path if path.is_dir() else path.parent, named)
    if path.is_dir():
        return folders.list_files(path, source.source, source.config, source.revision)
    return Listing({path.name: [path.name]}, lambda names: [DataFile(path, source.source)])


def _generated(source: str) -> Listing:
    made = files(generated.named(source)[0])
    names = {f"{name}.jsonl": content for name, content in made.items()}

    def fetch(wanted: Sequence[str]) -> list[DataFile]:
        return [DataFile(Path(name), f"{source}/{name}", names[name]) for name in wanted]

    return Listing({name: [f"{name}.jsonl"] for name in made}, fetch)


def _meant(listing: Listing, path: Path | None) -> Split | None:
    """Return what the one split of a listing is; a file that is named itself is no split."""
    is_file = path is not None and path.is_file()
    return None if is_file else splits.meaning(next(iter(listing.splits)))


def find(name: str, base: Path) -> Path | None:
    """Return the local path a source names; None if it is the id of a data set on the hub.

    A generated task has its own name, at which nothing lies.
    """
    if generated.is_generated(name):
        generated.named(name)  # raises where there are no such tasks
        return Path(name)
    if not name.strip():
        hint = "name a file, a folder or an id on the hub"
        raise DataError("what is to be read has an empty name", hint)
    path, shown = _place(name, base), clip(name, 500)
    try:
        if path.is_file() or path.is_dir():
            return path
        special = path.exists()
    except OSError as error:
        raise DataError(f"cannot read {shown}: {error.strerror}", "check the path") from error
    if special:
        raise DataError(f"neither a file nor a folder: {shown}", "copy the data to a file")
    if _HUB_ID.fullmatch(name) and not format_of(name):
        return None
    hint = "check the path" + ("" if "/" in name else "; ids on the hub have the form owner/name")
    if path.is_symlink():
        raise DataError(f"a link that leads nowhere: {shown}", hint)
    raise DataError(f"no such file or folder: {shown}", _guess(path) + hint)


def _guess(path: Path) -> str:
    """Propose what is there under a name that is nearly the one that is not."""
    try:
        there = [entry.name for entry in os.scandir(path.parent)]
    except (OSError, ValueError):
        return ""
    close = difflib.get_close_matches(path.name, there, n=1)
    return f"did you mean {clip(close[0], 200)}? " if close else ""


def _assigned(
    source: TaskSource, groups: dict[str, list[str]], is_here: bool
) -> dict[Split, list[str]]:
    known = ", ".join(list(groups)[:12]) + (", ..." if len(groups) > 12 else "")
    try:
        assigned = splits.assign(groups, source.splits)
    except KeyError as error:
        reason = f"{source.source}: no split `{error.args[0]}`"
        raise DataError(reason, f"there are: {known}") from None
    if "train" not in assigned and not (assigned and source.role == "held_out"):
        hint = f'say which it is: splits = {{ train = "{next(iter(groups))}" }}'
        if len(groups) > 1 and not any(map(splits.meaning, groups)):
            pattern = _shared_pattern(source.source, groups) if is_here else ""
            each = f'a task for each: source = "{pattern}"; ' if pattern else ""
            hint = f'{each}{hint}; all in one: splits = {{ train = "*" }}'
        raise DataError(f"{source.source}: no split `train` among: {known}", hint)
    return assigned


def other_readings(source: TaskSource, base: Path) -> Iterator[dict[str, Any]]:
    """Yield keys with which a source here may be readable that is not as it stands there.

    They are what its errors propose, as long as nobody has said how it is to be read.
    """
    if source.records or source.files or source.splits or source.config:
        return
    try:
        path = find(source.source, base)
        listing = _listing(source, path) if path else None
    except DataError:
        return
    if path is None or listing is None:
        return
    names = [name for of_split in listing.splits.values() for name in of_split]
    for file in listing.fetch([name for name in names if format_of(name) == ".json"]):
        yield from ({"records": way} for way in jsontext.ways_of_splits(_lists(file) or ()))
    if path.is_dir() and len(listing.splits) == 1:
        yield {"splits": {"train": next(iter(listing.splits))}}
    elif path.is_dir() and not any(map(splits.meaning, listing.splits)):
        pattern = _shared_pattern(source.source, listing.splits)
        yield from [{"source": pattern}] if pattern else []


def _shared_pattern(source: str, groups: dict[str, list[str]]) -> str:
    """Return the pattern that all files have in common, nothing where there is none."""
    names = [PurePosixPath(name) for files in groups.values() for name in files]
    if len({(name.parent, name.suffix) for name in names}) > 1:
        return ""
    return str(PurePosixPath(source, names[0].parent, f"*{names[0].suffix}"))


def _record_pieces(source: TaskSource, listing: Listing) -> Found:
    """Return the lists for each split in the one JSON file that has them, and what is not read."""
    names = [name for files in listing.splits.values() for name in files]
    files = listing.fetch([name for name in names if format_of(name) == ".json"] or names)
    known = [_lists(file) for file in files]
    chosen = [
        (file, found)
        for file, lists in zip(files, known, strict=True)
        if (found := _lists_of_splits(source, lists))
    ]
    if len(chosen) == 1:
        file, found = chosen[0]
        others = [one.shown for one in files if one != file]
        unread = _unread(source, found.values(), known[files.index(file)] or (), others)
        pieces = {split: [Piece(file, path)] for split, path in found.items()}
        return Found(pieces, listing.class_names, unread)
    if len(chosen) > 1:
        several = ", ".join(file.shown for file, _ in chosen[:8])
        raise DataError(f"{source.source}: several files have such lists", f"name one: {several}")
    if len(files) == 1 and known[0] is None:
        piece = Piece(files[0], source.records)  # the reader meets and reports it
        return Found({"train": [piece]}, listing.class_names)
    lists = [path for found in known for path in found or ()]
    wanted = (source.splits or {}).get("train", "train")
    hint = f"lists in {'this file' if len(files) == 1 else 'these files'}: "
    reason = f"{source.source}: no list of rows for `{wanted}`"
    raise DataError(reason, hint + (", ".join(lists[:12]) or "none"))


def _unread(
    source: TaskSource, used: Collection[str], lists: Sequence[str], files: Sequence[str]
) -> list[LeftOut]:
    """Tell of lists beside those that are splits, and of other files, where nobody chose so."""
    before, _, behind = (source.records or "").partition(SPLIT)
    beside = [way for way in lists if way.startswith(before) and way.endswith(behind)]
    names = [*files, *(way for way in beside if way not in used)]
    if not names or source.splits:
        return []
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return [(f"not read: {shown}", "its name tells no split; `splits` can say it")]


def _lists(file: DataFile) -> list[str] | None:
    """Return the ways to the lists in a JSON file, None if it is not one."""
    try:
        return jsontext.lists(file.read().decode("utf-8-sig"))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, jsontext.JsonError):
        return None


def _lists_of_splits(source: TaskSource, known: list[str] | None) -> dict[Split, str]:
    """Return the list for each split; none without one to train on."""
    found: dict[Split, str] = {}
    for split in SPLITS:
        named = [source.splits[split]] if source.splits and split in source.splits else []
        options = named or ([] if source.splits else splits.candidates(split))
        paths = [(source.records or "").replace(SPLIT, name) for name in options]
        there = [path for path in paths if path in (known or ())]
        if there:
            found[split] = there[0]
        elif named or split == "train":
            return {}
    return found


def _place(name: str, base: Path) -> Path:
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # the home of a user that is not there
        path = Path(name)
    return base / path
