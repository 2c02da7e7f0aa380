"""The lock of a run folder: held by its trainer, signed with the process that holds it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from yofo_mlx.errors import RunError
from yofo_mlx.system.files import disk_error

FILE = "lock"


def holder(folder: Path) -> int | None:
    """Return the process id that holds the run's lock, None if nobody does."""
    try:
        with (folder / FILE).open() as file:
            try:  # shared: two who ask at the same time do not see each other
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else 0
    except OSError:
        pass
    return None


@contextmanager
def locked(folder: Path, descriptor: int | None = None) -> Iterator[int]:
    """Hold the run's lock, or go on holding the one inherited as `descriptor`; refuse if taken."""
    with _open_lock(folder, descriptor) as file:
        if not take(file):
            pid = file.read().strip() or "unknown"
            raise RunError(
                f"run {folder.name} is being trained by process {pid}",
                "wait until it ends, or stop it first",
            )
        sign(folder, file.fileno())
        yield file.fileno()


def sign(folder: Path, descriptor: int, pid: int | None = None) -> None:
    """Write the process that holds the lock into it; left out, this one."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(pid or os.getpid()).encode(), 0)
    except OSError as error:
        raise disk_error(error, folder) from error


def _open_lock(folder: Path, descriptor: int | None) -> TextIO:
    try:
        if descriptor is None:
            descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o644)
        return open(descriptor, "r+")
    except OSError as error:
        raise disk_error(error, folder) from error


def take(file: TextIO | int, how: int = fcntl.LOCK_EX) -> bool:
    """Lock a file, patiently: a viewer that asks for the status holds it for an instant."""
    for _ in range(20):
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.05)
    return False
