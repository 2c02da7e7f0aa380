"""A study in the queue: its recipe as it was queued, how far it is, the process that makes it."""

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from yofo_mlx.errors import RunError
from yofo_mlx.runs import lock
from yofo_mlx.runs.folder import ENDED, TROUBLE, Status
from yofo_mlx.system import child
from yofo_mlx.system.files import read_object, write_text

PROGRESS = "progress.json"  # in a study's folder, written by whoever makes it
POLL_S = 0.5


class StudyRequest(BaseModel):
    """What is to be made, whatever becomes of the recipe's file meanwhile."""

    model_config = ConfigDict(extra="allow")

    name: str  # of its recipe
    recipe: str  # TOML
    folder: str  # of the study


@dataclass(frozen=True)
class QueuedStudy:
    """A study by what the queue knows of it: as far as the queue goes, it is like a run."""

    request: StudyRequest
    place: Path  # of its recipe and console, once it was begun

    @property
    def run_id(self) -> str:
        """Return what it is called in the queue."""
        return f"study-{self.request.name}"

    @property
    def path(self) -> Path:
        """Return the folder of its results."""
        return Path(self.request.folder)

    def is_locked(self) -> bool:
        """Tell whether it is being made, by whomever."""
        return lock.holder(self.path) is not None

    def status(self) -> Status:
        """Tell how it stands, in the words for runs."""
        if self.is_locked():
            return "running"
        if not self.place.is_dir():
            return "created"
        told = self.progress().get("state")
        return next((state for state in ENDED if state == told), "died")

    def progress(self) -> dict[str, Any]:
        """Return what its maker told last."""
        return read_object(self.path / PROGRESS)

    def request_stop(self) -> None:
        """Ask whoever makes it to keep what there is and end."""
        if pid := lock.holder(self.path):
            with suppress(OSError):
                os.kill(pid, signal.SIGINT)

    def make(self) -> None:
        """Make it in a process of its own, or wait for the one that does; raise why it failed."""
        if self.is_locked():
            while self.is_locked():
                time.sleep(POLL_S)
        else:
            (self.path / PROGRESS).unlink(missing_ok=True)  # of an earlier time
            self._begin().wait()
        if self.status() not in TROUBLE:
            return
        told = self.progress()
        message, hint = told.get("message", ""), told.get("hint", "")
        if not message:
            message, hint = self._last_words()
            if self.path.is_dir():
                tell(self.path, state="failed", message=message, hint=hint)
        raise RunError(message, hint)

    def forget(self) -> None:
        """Remove what making it left in the queue's folder; its results stay."""
        shutil.rmtree(self.place, ignore_errors=True)

    def _begin(self) -> "subprocess.Popen[bytes]":
        recipe = self.place / f"{self.request.name}.toml"
        recipe.parent.mkdir(parents=True, exist_ok=True)
        write_text(recipe, self.request.recipe)
        with (self.place / "console.log").open("wb") as console:
            return subprocess.Popen(
                child.command("yofo_mlx.cli", "study", str(recipe), "--out", self.request.folder),
                env=child.environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    def _last_words(self) -> tuple[str, str]:
        log = self.place / "console.log"
        with suppress(OSError):
            _, found, said = log.read_text("utf-8", "replace").rpartition("error: ")
            message, _, hint = said.strip().partition("\n")
            if found and message:
                return message, hint.strip()
        return "the process that made it was killed", f"its last words: {log}"


def tell(folder: Path, **told: Any) -> None:
    """Write how far a study is: share, seconds_left, and at its end state, message and hint."""
    write_text(folder / PROGRESS, json.dumps(told) + "\n")
