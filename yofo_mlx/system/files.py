"""Files and folders that appear whole or not at all, and disks that fail in words."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from yofo_mlx.errors import RunError
from yofo_mlx.system.talk import say

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
LITTLE = 2**20  # bytes: a disk with less is full
PART = ".part."  # how temporary names begin
WAITS_S = (1, 4, 15, 40)  # between attempts at a full disk: somebody may be making room
_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: past the drive's own cache
T = TypeVar("T")


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name, sync it, rename it into place."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; nothing where it is missing, damaged or no file."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` when the block ends well."""
    descriptor, name = tempfile.mkstemp(
        dir=path.parent, prefix=f"{PART}{path.stem}.", suffix=path.suffix
    )
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `path` when the block ends well."""
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{PART}{path.name}."))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        sync_folder(temporary)
        _replace_folder(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed writer left under temporary names; nobody else may be writing there.

    What had stepped aside for its replacement is put back if that never came.
    """
    for path in folder.glob(f"{PART}*"):
        for aside in [folder / name for name in _names(path) if _stepped_aside(path, name)]:
            if not aside.exists():
                os.replace(path / aside.name, aside)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk."""
    _sync(path)


def move(source: Path, target: Path) -> None:
    """Rename a folder or a link; to another file system it is copied as a whole, then removed."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV or source.is_symlink():
            raise
        with new_folder(target) as folder:
            shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(source)
    sync_folder(target.parent)
    sync_folder(source.parent)


def size_of(path: Path) -> int:
    """Return the bytes of a file or of all files below a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size if os.path.lexists(path) else 0
    found = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # gone meanwhile
                found += (Path(folder) / name).lstat().st_size
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def patiently(action: Callable[[], T], what: str) -> T:
    """Return what `action` does; while the disk is full, wait and try again a few times."""
    for wait in WAITS_S:
        try:
            return action()
        except OSError as error:
            if error.errno not in FULL:
                raise
        say(f"the disk is full: {what} waits for {wait} s")
        time.sleep(wait)
    return action()


def disk_error(error: OSError, path: Path, again: str = "`yofo resume`") -> RunError:
    """Return in words why something below `path` could not be written or read.

    `again`: what goes on once that is mended.
    """
    place = error.filename or path
    if error.errno in FULL:
        return RunError(f"the disk of {path} is full", f"make room; then {again} goes on")
    if error.errno == errno.EROFS:
        return RunError(f"{place} is on a disk that is read-only", "mount it for writing")
    if error.errno in (errno.EACCES, errno.EPERM):
        return RunError(f"{place} cannot be written: {error.strerror}", "check the folder's owner")
    words = error.strerror or str(error)
    if not path.exists():
        return RunError(f"{path} has gone: {words}", "is its volume still connected?")
    return RunError(f"{place}: {words}", f"check the disk; then {again} goes on")


def is_full(path: Path) -> bool:
    """Tell whether the disk of a folder has next to no room."""
    try:
        return shutil.disk_usage(path).free < LITTLE
    except OSError:
        return False


def why_not_written(folder: Path, nbytes: int) -> OSError:
    """Return the likeliest reason why a library that gives none could not write into `folder`."""
    try:
        room = os.statvfs(folder)
    except OSError as error:
        return error
    number = errno.EIO
    if room.f_flag & os.ST_RDONLY:
        number = errno.EROFS
    elif room.f_bavail * room.f_frsize < nbytes or (room.f_files and not room.f_favail):
        number = errno.ENOSPC
    return OSError(number, os.strerror(number), str(folder))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """Flush a file to the disk, as far down as the system lets us."""
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(descriptor, _FULL_SYNC)
            return
        except OSError:  # a file system without it
            pass
    os.fsync(descriptor)


def _names(path: Path) -> list[str]:
    return [entry.name for entry in path.iterdir()] if path.is_dir() else []


def _stepped_aside(path: Path, name: str) -> bool:
    return path.name.startswith(f"{PART}{name}.")


def _replace_folder(source: Path, target: Path) -> None:
    """Rename `source` to `target`; a folder in the way steps aside first."""
    os.chmod(source, 0o755)
    if not target.exists():
        os.replace(source, target)
        return
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{PART}{target.name}."))
    os.replace(target, aside / target.name)
    try:
        os.replace(source, target)
    except BaseException:
        os.replace(aside / target.name, target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
