"""What was answered before, in a file that only grows: a rehearsal goes on where it stopped."""

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any, Self

from yofo_mlx.errors import RunError
from yofo_mlx.system.files import disk_error
from yofo_mlx.system.lines import GrowingFile
from yofo_mlx.system.text import json_line


def key_of(*parts: Any) -> str:
    """Return a short hash of all that an answer depends on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def is_held(path: Path) -> bool:
    """Tell whether a process writes answers to a file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class Store:
    """Answers by key, a line of JSON each; one process at a time writes."""

    def __init__(self, path: Path, kind: str = "rehearsal") -> None:
        """`kind`: what writes such files, as messages call it."""
        self._path = path
        self._known: dict[str, Any] = {}
        wrong = f"another {kind} is writing to {path.parent}"
        self._file = GrowingFile(path, RunError(wrong, "wait for it, or give another --out"))

    def __enter__(self) -> Self:
        try:
            self._file.__enter__()
        except OSError as error:
            raise disk_error(error, self._path.parent, "the same command") from error
        for line in self._file:
            try:
                key, value = json.loads(line)
            except (ValueError, TypeError):  # a disk's own mistake: it is asked again
                continue
            self._known[key] = value
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Any:
        return self._known[key]

    def add(self, key: str, value: Any) -> None:
        """Keep an answer, on the disk as well."""
        self._known[key] = value
        try:
            self._file.add(f"{json_line([key, value])}\n".encode())
        except OSError as error:
            raise disk_error(error, self._path.parent, "the same command") from error
