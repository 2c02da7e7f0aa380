"""Run folders: where a run's recipe, events, checkpoints and adapter are, and how it stands.

recipe.toml   as resolved            events.jsonl   what happened, written by the trainer
run.json      versions, machine      past.jsonl     what a resume took back
lock          held while it trains   console.log    what the trainer printed
checkpoints/<step>/                  stop           present: finish the step, save, exit
adapter/      best so far, for mlx-lm's --adapter-path
evaluations/  what `yofo eval` measured, a file each
"""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from yofo_mlx.errors import RunError
from yofo_mlx.runs import lock
from yofo_mlx.runs.events import FINAL_KINDS, PAST_FILE, EventReader, last_event
from yofo_mlx.system.files import read_object

if TYPE_CHECKING:
    from yofo_mlx.runs.info import RunInfo

Status = Literal["created", "running", "stopping", "finished", "stopped", "failed", "died"]
GOING_ON: Final[frozenset[Status]] = frozenset({"running", "stopping"})
TROUBLE: Final[frozenset[Status]] = frozenset({"failed", "died"})
RESUMABLE: Final[frozenset[Status]] = TROUBLE | {"stopped"}
ENDED: Final[frozenset[Status]] = RESUMABLE | {"finished"}


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
    def info_path(self) -> Path:
        """With what the run was made."""
        return self.path / "run.json"

    @property
    def events_path(self) -> Path:
        """The event stream."""
        return self.path / "events.jsonl"

    @property
    def past_path(self) -> Path:
        """What a resume took back from the event stream."""
        return self.path / PAST_FILE

    @property
    def console_path(self) -> Path:
        """Output of a detached trainer."""
        return self.path / "console.log"

    @property
    def lock_path(self) -> Path:
        """Held with flock for the trainer's life."""
        return self.path / lock.FILE

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

    def noted(self) -> dict[str, Any]:
        """Return run.json as it is, unchecked; nothing where it is missing or damaged."""
        return read_object(self.info_path)

    def info(self) -> "RunInfo":
        """Return run.json, with defaults for what is missing or damaged."""
        from yofo_mlx.runs import info  # late, as below: its models are slow to import

        return info.checked(self.noted())

    def note(self, **fields: Any) -> "RunInfo":
        """Put fields into run.json and return it as it is then."""
        from yofo_mlx.runs import info

        noted = self.info().updated(**fields)
        info.write(self.info_path, noted)
        return noted

    def check_format(self) -> None:
        """Refuse a folder that a newer version wrote."""
        from yofo_mlx.runs.info import FORMAT

        found = self.info().format
        if not isinstance(found, int) or found > FORMAT:
            raise RunError(
                f"run {self.run_id} was made by a newer yofo (run folders of format {found})",
                f"update yofo: this version reads format {FORMAT}",
            )

    def is_locked(self) -> bool:
        """Tell whether a trainer holds the lock."""
        return lock.holder(self.path) is not None

    def status(self) -> Status:
        """Derive the status from the lock and the last event."""
        # Before the events: a trainer that ends in between has written its last.
        locked = self.is_locked()
        last = last_event(self.events_path)
        if locked:
            return "stopping" if self.stop_path.exists() else "running"
        if last is None:
            return "created" if not self.lock_path.exists() else "died"
        kind = last["kind"]
        return kind if kind in FINAL_KINDS else "died"

    def is_begun(self) -> bool:
        """Tell whether a trainer ever took it; until then it waits, such as in the queue."""
        return self.lock_path.exists() or self.events_path.exists()

    def has_spoken(self) -> bool:
        """Tell whether whoever holds the lock wrote an event since: then it answers signals."""
        try:
            return self.events_path.stat().st_mtime_ns >= self.lock_path.stat().st_mtime_ns
        except OSError:
            return False

    def request_stop(self, *, now: bool = False) -> None:
        """Ask the trainer to finish its step (`now`: to leave it), save and exit."""
        with self.stop_path.open("a") as file:
            file.write("now\n" if now else "")

    def interrupt(self) -> bool:
        """Send another process that trains it what Ctrl-C sends, once it answers that."""
        pid = lock.holder(self.path)
        if not pid or pid == os.getpid() or not self.has_spoken():
            return False
        with suppress(OSError):  # it has just ended, or is somebody else's
            os.kill(pid, signal.SIGINT)
        return True

    def must_leave(self) -> bool:
        """Tell whether the trainer was asked to leave its step."""
        try:
            with self.stop_path.open() as file:
                return file.read(4) == "now\n"
        except (OSError, ValueError):
            return False
