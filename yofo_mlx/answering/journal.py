"""Answers as they come, a line each in the order of the rows, so that nothing is asked twice."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from yofo_mlx.errors import RunError
from yofo_mlx.system.files import disk_error
from yofo_mlx.system.lines import GrowingFile
from yofo_mlx.system.signals import held_back
from yofo_mlx.system.text import json_line

Entry = dict[str, Any]
"""The answer to a row, or its error; and the mark of its question, as `mark`."""

_MARK = "yofo_answers"
_BEGINNING = f'{{"{_MARK}": '.encode()
AGAIN = "the same command with --resume"


class Journal:
    """The file beside an output: what the answers depend on, then those of the first rows."""

    def __init__(self, out: Path) -> None:
        self.path = journal_of(out)
        held = RunError(f"another process writes to {out}", "wait for it, or give another --out")
        self._file = GrowingFile(self.path, held)
        self.asked: Entry = {}
        self.count = 0

    def __enter__(self) -> Self:
        try:
            self._refuse_another()
            self._file.__enter__()
        except OSError as error:
            raise disk_error(error, self.path.parent, AGAIN) from error
        lines = iter(self._file)
        first = next(lines, b"")
        self.asked = _parsed(first) or {}
        self._file.cut(len(first) + 1 + sum(self._sound(lines)) if self.asked else 0)
        return self

    def __exit__(self, *error: object) -> None:
        if not self.count:  # nothing to go on with would only be in the way
            self.remove()
        self._file.__exit__(*error)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the answers of the first rows."""
        lines = iter(self._file)
        next(lines, None)
        for line in lines:
            yield json.loads(line)

    def _refuse_another(self) -> None:
        """Refuse a file that is none of ours: it would be cut."""
        start = b""
        if self.path.exists():
            with self.path.open("rb") as file:
                start = file.read(len(_BEGINNING))
        if not _BEGINNING.startswith(start):
            wrong = f"{self.path} is in the way, and holds something else"
            raise RunError(wrong, "give another --out, or move it")

    def begin(self, asked: Mapping[str, Any]) -> None:
        """Write down what the answers will depend on."""
        self.asked = {_MARK: 1, **asked}
        self._add([self.asked])

    def add(self, entries: Iterable[Entry]) -> None:
        """Keep the answers of the next rows."""
        found = list(entries)
        with held_back():  # what is written is counted
            self._add(found)
            self.count += len(found)

    def keep(self, count: int) -> None:
        """Forget all answers but those of the first rows."""
        lines = iter(self._file)
        self._file.cut(sum(len(line) + 1 for _, line in zip(range(count + 1), lines, strict=False)))
        self.count = min(count, self.count)

    def remove(self) -> None:
        """Remove the file: the output holds all of it."""
        self.path.unlink(missing_ok=True)

    def _sound(self, lines: Iterator[bytes]) -> Iterator[int]:
        """Yield the bytes of lines up to the first that a disk has spoilt, and count them."""
        for line in lines:
            if _parsed(line) is None:
                return
            self.count += 1
            yield len(line) + 1

    def _add(self, entries: list[Entry]) -> None:
        try:
            self._file.add(b"".join(f"{json_line(entry)}\n".encode() for entry in entries))
        except OSError as error:
            raise disk_error(error, self.path.parent, AGAIN) from error


def journal_of(out: Path) -> Path:
    """Return where the answers lie until the output is written."""
    return out.with_name(f"{out.name}.unfinished")


def _parsed(line: bytes) -> Entry | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
