"""Data sets in folders of this machine, also copies of the hub's and what `save_to_disk` writes."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.tasks.reading import hubcard, layout
from yofo_mlx.tasks.reading.formats import DataFile
from yofo_mlx.tasks.reading.layout import Listing

_MOST = 100_000  # files looked at before somebody's whole disk is taken for a data set


def list_files(folder: Path, shown: str, config: str | None, revision: str | None) -> Listing:
    """Find the data files of a folder as they would be found on the hub."""
    root = _snapshot(folder, shown, revision)
    names = sorted(_kept(root, list(_names(root, shown))))
    card = hubcard.read(root)
    chosen = layout.choose(shown, config, names, card)
    if chosen is None and config is not None and any(map(layout.is_data, names)):
        raise DataError(f"{shown}: no configuration `{config}`", "leave `config` out")
    if chosen is None:
        raise DataError(f"no data files in {shown}", "expected are such as train.jsonl")
    return Listing(chosen.splits, here(root), card.class_names(chosen.config), chosen.left_out)


def list_named(folder: Path, names: Sequence[str]) -> Listing:
    """Find data files by their names in a folder."""
    missing = next((name for name in names if not (folder / name).is_file()), None)
    if missing is not None:
        raise DataError(f"no such file: {folder / missing}", "check `files` of this source")
    names_of = hubcard.read(folder).class_names(None)
    return Listing({name: [name] for name in names}, here(folder), names_of)


def here(folder: Path) -> layout.Fetch:
    """Return what finds files of a listing in a folder."""
    return lambda names: [DataFile(folder / name, str(folder / name)) for name in names]


def _snapshot(folder: Path, shown: str, revision: str | None) -> Path:
    """Return the files of one commit, where the folder is the hub's cache of a data set."""
    snapshots = folder / "snapshots"
    if not (snapshots.is_dir() and (folder / "blobs").is_dir()):
        return folder
    commits = sorted(path.name for path in snapshots.iterdir() if path.is_dir())
    wanted = revision or "main"
    ref = folder / "refs" / wanted
    commit = ref.read_text("utf-8").strip() if ref.is_file() else wanted
    if commit not in commits and revision is None and len(commits) == 1:
        commit = commits[0]
    if commit not in commits:
        hint = f"name one, such as revision = {json.dumps(commits[0] if commits else 'main')}"
        raise DataError(f"{shown}: no snapshot of `{wanted}` in this cache", hint)
    return snapshots / commit


def _names(root: Path, shown: str) -> Iterator[str]:
    """Yield the files below a folder, hidden ones left out; links are followed, each once."""
    waiting, seen, count = [root], {os.path.realpath(root)}, 0
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            reason = f"cannot read {folder}: {error.strerror}"
            raise DataError(reason, "check its permissions") from error
        for entry in entries:
            count += 1
            if count > _MOST:
                hint = "name the folder that holds the data"
                raise DataError(f"{shown} holds more than {_MOST:,} files", hint)
            if entry.name.startswith("."):
                continue
            if entry.is_file():
                yield Path(entry.path).relative_to(root).as_posix()
            elif entry.is_dir() and (real := os.path.realpath(entry.path)) not in seen:
                seen.add(real)
                waiting.append(Path(entry.path))


def _kept(root: Path, names: list[str]) -> Iterator[str]:
    """Yield names without the Arrow files that a saved data set does not list, such as caches."""
    listed = {
        Path(name).parent: _saved(root / name) for name in names if Path(name).name == "state.json"
    }
    for name in names:
        known = listed.get(Path(name).parent)
        if not (known and name.endswith(".arrow")) or Path(name).name in known:
            yield name


def _saved(state: Path) -> set[str]:
    try:
        return {str(file["filename"]) for file in json.loads(state.read_bytes())["_data_files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
