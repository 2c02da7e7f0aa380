"""Run folders: where a run's recipe, events, checkpoints and adapter are, and how it stands.

recipe.toml   as resolved            events.jsonl   what happened, written by the trainer
run.json      versions, machine      past.jsonl     what a resume took back
lock          held while it trains   console.log    what the trainer printed
checkpoints/<step>/                  stop           present: finish the step, save, exit
adapter/      best so far, for mlx-lm's --adapter-path
evaluations/  what `yofo eval` measured, a file each
"""

import fcntl
import json
import os
import re
import shlex
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from yofo_mlx import paths
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.events import Event, EventReader, parse
from yofo_mlx.files import disk_error, write_text
from yofo_mlx.text import shorten

FILES = "recipe.toml run.json events.jsonl past.jsonl console.log lock stop".split()
FORMAT = 1  # of a run folder; a newer one is refused
Status = Literal["created", "running", "stopping", "finished", "stopped", "failed", "died"]


@dataclass(frozen=True)
class Run:
    """One run folder."""

    path: Path

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def recipe_path(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def events_path(self) -> Path:
        """The event stream."""
        return self.path / "events.jsonl"

    @property
    def console_path(self) -> Path:
        """Output of a detached trainer."""
        return self.path / "console.log"

    @property
    def lock_path(self) -> Path:
        """Held with flock for the trainer's life."""
        return self.path / "lock"

    @property
    def stop_path(self) -> Path:
        """Present when somebody asked the trainer to stop."""
        return self.path / "stop"

    @property
    def adapter_path(self) -> Path:
        """The best adapter so far, in mlx-lm's form."""
        return self.path / "adapter"

    @property
    def evaluations_path(self) -> Path:
        """What `yofo eval` measured, a file each."""
        return self.path / "evaluations"

    @property
    def checkpoints_path(self) -> Path:
        """Folder of checkpoints, one folder a step."""
        return self.path / "checkpoints"

    def checkpoint_path(self, step: int) -> Path:
        """Return the folder of one checkpoint."""
        return self.checkpoints_path / f"{step:07d}"

    def events(self) -> EventReader:
        """Return a reader of the event stream, at its start."""
        return EventReader(self.events_path)

    def info(self) -> dict[str, Any]:
        """Return run.json, empty if it is missing or damaged."""
        try:
            info = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return info if isinstance(info, dict) else {}

    def check_format(self) -> None:
        """Refuse a folder that a newer version wrote."""
        found = self.info().get("format", FORMAT)
        if not isinstance(found, int) or found > FORMAT:
            raise RunError(
                f"run {self.run_id} was made by a newer yofo (run folders of format {found})",
                f"update yofo: this version reads format {FORMAT}",
            )

    def is_locked(self) -> bool:
        """Tell whether a trainer holds the lock."""
        return holder(self) is not None

    def status(self) -> Status:
        """Derive the status from the lock and the last event."""
        locked = (
            self.is_locked()
        )  # before the events: a trainer that ends in between has written its last
        last = last_event(self.events_path)
        if locked:
            return "stopping" if self.stop_path.exists() else "running"
        if last is None:
            return "created" if not self.lock_path.exists() else "died"
        kind = last["kind"]
        return kind if kind in ("finished", "stopped", "failed") else "died"

    def request_stop(self) -> None:
        """Ask the trainer to finish its step, save and exit."""
        self.stop_path.touch()


def create(name: str) -> Run:
    """Create a new run folder named after the time and `name`."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(name)}"
    for number in range(1000):
        path = paths.runs() / (stem if number == 0 else f"{stem}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(
                f"cannot create the run folder {path}: {error.strerror}",
                "set YOFO_HOME to a folder you can write to",
            ) from error
        return Run(path)
    raise RunError(f"no free name for a run folder like {stem}", "remove old runs")


def find(name: str) -> Run:
    """Return the run with this id, a unique part of it, `last`, or at this path."""
    run = _find(name)
    run.check_format()
    return run


def _find(name: str) -> Run:
    if _is_run(Path(name)):
        return Run(Path(name).absolute())
    everyone = list_runs()
    if name == "last" and everyone:
        return everyone[0]
    exact = [run for run in everyone if run.run_id == name]
    matches = exact or [run for run in everyone if name in run.run_id]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RecipeError(
            f"{name!r} could be any of {len(matches)} runs",
            "write more of the id: " + ", ".join(run.run_id for run in matches[:5]),
        )
    shown = shorten(name, 200)
    raise RecipeError(f"there is no run '{shown}'", f"`yofo runs` lists the runs in {paths.runs()}")


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
    return sorted(found, key=_age, reverse=True)


def _is_run(path: Path) -> bool:
    """Tell whether a folder is a run: no pipe to wait for, no link to write through."""
    try:
        modes = [(path / name).lstat().st_mode for name in FILES if os.path.lexists(path / name)]
        return (path / "recipe.toml").is_file() and all(map(_is_own, modes))
    except (OSError, ValueError):  # such as a name that is too long
        return False


def _is_own(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _age(run: Run) -> tuple[str, int]:
    """Order by the time in the id, then, within a second, by the recipe's time."""
    return run.run_id[: len("20260101-000000")], run.recipe_path.stat().st_mtime_ns


def holder(run: Run) -> int | None:
    """Return the process id that holds the run's lock, None if nobody does."""
    try:
        with run.lock_path.open() as file:
            try:  # shared: two who ask at the same time do not see each other
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else 0
    except OSError:
        pass
    return None


@contextmanager
def locked(run: Run, descriptor: int | None = None) -> Iterator[int]:
    """Hold the run's lock, or go on holding the one inherited as `descriptor`; refuse if taken."""
    with _open_lock(run, descriptor) as file:
        if not _take(file):
            pid = file.read().strip() or "unknown"
            raise RunError(
                f"run {run.run_id} is being trained by process {pid}",
                "wait until it ends, or stop it first",
            )
        sign(run, file.fileno())
        yield file.fileno()


def sign(run: Run, descriptor: int, pid: int | None = None) -> None:
    """Write the process that holds the lock into it; left out, this one."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(pid or os.getpid()).encode(), 0)
    except OSError as error:
        raise disk_error(error, run.path) from error


def has_spoken(run: Run) -> bool:
    """Tell whether whoever holds the lock wrote an event since: then it answers signals."""
    return run.events_path.stat().st_mtime_ns >= run.lock_path.stat().st_mtime_ns


def _open_lock(run: Run, descriptor: int | None) -> TextIO:
    try:
        if descriptor is None:
            descriptor = os.open(run.lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        return open(descriptor, "r+")
    except OSError as error:
        raise disk_error(error, run.path) from error


def _take(file: TextIO) -> bool:
    """Lock a file, patiently: a viewer that asks for the status holds it for an instant."""
    for _ in range(20):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.05)
    return False


def last_event(path: Path) -> Event | None:
    """Return the last whole event of a stream."""
    events = (parse(line) for line in reversed(tail(path)))
    return next((event for event in events if event is not None), None)


def tail(path: Path, size: int = 256 * 1024) -> list[bytes]:
    """Return the lines in the last bytes of a file, none if it is missing."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().splitlines()
    except OSError:
        return []


def save_info(run: Run, info: dict[str, Any]) -> None:
    """Write run.json."""
    write_text(run.path / "run.json", json.dumps(info, indent=2, ensure_ascii=False) + "\n")


def slug(name: str) -> str:
    """Reduce a name to what is safe in a folder name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
