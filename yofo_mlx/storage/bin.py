"""A trash for what is no run: `$YOFO_HOME/.trash/<time in ns>/`, with a note of where it was."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx.errors import RunError
from yofo_mlx.runs import listing
from yofo_mlx.system import paths
from yofo_mlx.system.files import disk_error, move, size_of, write_text

NOTE = "from.json"


@dataclass(frozen=True)
class Thrown:
    """What lies in the trash, and where it was."""

    entry: Path
    path: Path  # where it was

    @property
    def content(self) -> Path:
        """Where it is now."""
        return self.entry / self.path.name

    @property
    def has_place(self) -> bool:
        """Tell whether it could be where it was: nothing else is there, and its folder is."""
        folder = self.path.parent
        return not self.path.exists() and (folder.is_dir() or folder.parent == paths.home())

    @property
    def when(self) -> float:
        """When it was thrown away, in seconds since the epoch."""
        return int(self.entry.name) / 1e9


def thrown() -> list[Thrown]:
    """Return what is in the trash, last first."""
    found, runs = [], {listing.origin(run): run for run in listing.list_runs()}
    for entry in (paths.home() / ".trash").glob("[0-9]*"):
        try:
            note = json.loads((entry / NOTE).read_text("utf-8"))
            path = Path(note["path"])
            if run := runs.get(tuple(note.get("run") or ())):  # it may have another name now
                path = run.path / path.name
            found.append(Thrown(entry, path))
        except (OSError, ValueError, LookupError, TypeError):
            continue
    there = [one for one in found if one.entry.name.isdecimal() and one.content.exists()]
    return sorted(there, key=lambda one: int(one.entry.name), reverse=True)


def throw(path: Path, run: tuple[int, float] | None = None) -> Thrown:
    """Move a file or folder to the trash: by renaming it, so at once and whole.

    `run`: the origin of the run that it is of.
    """
    thrown = Thrown(paths.home() / ".trash" / str(time.time_ns()), path)
    try:
        thrown.entry.mkdir(parents=True)
        write_text(thrown.entry / NOTE, json.dumps({"path": str(path), "run": run}))
        move(path, thrown.content)
    except OSError as error:
        shutil.rmtree(thrown.entry, ignore_errors=not thrown.content.exists())
        raise disk_error(error, path, "the same command") from error
    return thrown


def bring_back(thrown: Thrown) -> Path:
    """Move it to where it was; refuse where something else lies there by now."""
    if thrown.path.exists():
        raise RunError(
            f"there is another {thrown.path} by now", f"it stays in {thrown.content} meanwhile"
        )
    if thrown.path.parent.parent == paths.home():
        thrown.path.parent.mkdir(exist_ok=True)
    if not thrown.path.parent.is_dir():
        raise RunError(
            f"{thrown.path.parent}, from where it was, has gone",
            "bring that back first: `yofo restore` lists runs in the trash",
        )
    try:
        move(thrown.content, thrown.path)
    except OSError as error:
        raise disk_error(error, thrown.path, "the same command") from error
    shutil.rmtree(thrown.entry, ignore_errors=True)
    return thrown.path


def empty() -> int:
    """Delete all of it for good; return how many bytes that frees."""
    freed = 0
    for one in thrown():
        freed += size_of(one.entry)
        shutil.rmtree(one.entry)
    return freed
