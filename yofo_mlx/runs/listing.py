"""All runs that there are: made, found by name, in the order of their making."""

import fcntl
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.runs.events import figure, first_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.names import NEWEST, ambiguous, closest, matching, slug
from yofo_mlx.system import paths
from yofo_mlx.system.files import FULL, PART, disk_error
from yofo_mlx.system.text import is_utf8, shorten

TRASH = ".trash"  # in the folder of runs: what is removed is moved by renaming it
FILES = "recipe.toml run.json events.jsonl past.jsonl console.log lock stop".split()


def create(name: str) -> Run:
    """Create a new run folder named after the time and `name`, numbered after all there are."""
    folder, stem = paths.runs(), f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(name)}"
    if not is_utf8(str(folder)):
        raise RunError(
            f"{folder}: MLX cannot write below a path that is not UTF-8",
            "set YOFO_HOME to another folder",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(folder):
            there = [*folder.iterdir(), *folder.glob(f"{TRASH}/*/*")]
            number = 1 + max(map(_number, there), default=0)
            run = Run(_new_folder(folder, stem))
            _begin(run, number)
    except OSError as error:
        if error.errno in FULL:
            raise disk_error(error, folder) from error
        raise RunError(
            f"cannot create the run folder {folder / stem}: {error.strerror}",
            "set YOFO_HOME to a folder you can write to",
        ) from error
    return run


def _begin(run: Run, number: int) -> None:
    try:
        run.note(number=number, created=time.time(), command=sys.argv[1:])
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise


def _new_folder(folder: Path, stem: str) -> Path:
    for number in range(1000):
        path = folder / (stem if number == 0 else f"{stem}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise RunError(f"no free name for a run folder like {stem}", "remove old runs")


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let nobody else number or name a run meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network's disk may lock no folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def find(name: str) -> Run:
    """Return the run with this id, a unique part of it, `last`, or at this path."""
    run = find_any(name)
    run.check_format()
    return run


def find_any(name: str) -> Run:
    """Return a run as `find` does, also one that a newer version wrote."""
    if not name.strip():
        raise RecipeError("the name of a run is empty", "`yofo runs` lists them")
    if _is_run(Path(name)):
        return _at(Path(name))
    everyone = {run.run_id: run for run in list_runs()}
    if name == NEWEST and everyone:
        runs = list(everyone.values())
        return next((run for run in runs if run.is_begun()), runs[0])
    matches = matching(name, list(everyone))
    if not matches:
        raise _unknown(name, list(everyone))
    if len(matches) > 1:
        raise ambiguous(name, matches)
    return everyone[matches[0]]


def _at(path: Path) -> Run:
    """Return the run at a path, by its place in the folder of runs where that is where it lies."""
    path = path.absolute() if path.name not in ("", "..") else path.resolve()
    listed = paths.runs() / path.name
    is_listed = listed.parent.is_dir() and listed.parent.samefile(path.parent)
    return Run(listed if is_listed else path)


def _unknown(name: str, known: Sequence[str]) -> RecipeError:
    message = f"there is no run '{shorten(name, 200)}'"
    removed = [path.name for path in (paths.runs() / TRASH).glob("[0-9]*/*")]
    if name != NEWEST and matching(name, removed):
        return RecipeError(message, f"it is in the trash: yofo restore {shlex.quote(name)}")
    if not known:
        return RecipeError(f"{message}: no runs yet", "`yofo train tiny` makes one")
    close = closest(name, known)
    guess = f"did you mean {close}? " if close else ""
    return RecipeError(message, f"{guess}`yofo runs` lists the runs in {paths.runs()}")


def word(run: Run) -> str:
    """Return what to call a run on the command line."""
    is_listed = run.path.parent == paths.runs()
    return shlex.quote(run.run_id if is_listed else str(run.path))


def list_runs() -> list[Run]:
    """Return all runs, newest first."""
    folder = paths.runs()
    if not folder.is_dir():
        return []
    found = [Run(path) for path in folder.iterdir() if _is_run(path)]
    return sorted(found, key=_place, reverse=True)


def _is_run(path: Path) -> bool:
    """Tell whether a folder is a run: whole, with a recipe, and nothing to stumble over."""
    try:
        return (
            not path.name.startswith(PART) and (path / "recipe.toml").is_file() and _is_sound(path)
        )
    except (OSError, ValueError):  # such as a name that is too long
        return False


def _is_sound(path: Path) -> bool:
    """Tell whether a run's files are files: no pipe to wait for, no link to write through."""
    with os.scandir(path) as found:
        return not any(
            one.is_symlink() or not (one.is_file() or one.is_dir())
            for one in found
            if one.name in FILES
        )


def _place(run: Run) -> tuple[int, float, str]:
    """Order by the number that a run got when it was created; older ones by their beginning.

    The name of a folder may be changed, and a clock may be set back or be of another zone.
    """
    return *origin(run), run.run_id


def _number(path: Path) -> int:
    return _numbered(Run(path).noted()) if path.is_dir() and _is_sound(path) else 0


def _numbered(noted: dict[str, Any]) -> int:
    return int(figure(noted, "number") or 0)


def born(run: Run) -> float:
    """Return when a run was created or, if that is not known, began; seconds since the epoch."""
    return origin(run)[1]


def origin(run: Run) -> tuple[int, float]:
    """Return a run's number and its birth, which it keeps under any name."""
    return _origin(run.path, _stamp(run.info_path), run.events_path.exists())


@lru_cache(maxsize=4096)
def _origin(folder: Path, stamp: object, has_events: bool) -> tuple[int, float]:
    """Return a run's number and its birth; they change at most when the other arguments do."""
    run = Run(folder)
    noted = run.noted()
    number = _numbered(noted)
    if (created := figure(noted, "created")) is not None:
        return number, created
    if (began := figure(first_event(run.events_path), "t")) is not None:
        return number, began
    try:
        return number, run.recipe_path.stat().st_mtime
    except OSError:
        return number, 0.0


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
