"""The event stream of a run: one JSON object a line, appended by the trainer, read by every viewer.

It tells the run as it counts: what was written after the checkpoint that a run is resumed from is
taken back, since it happens again. So a resumed run has the stream of one that never stopped.

What there is to tell is declared in `kinds.py`; it is slow to import, and only writers need it.
"""

import errno
import json
import math
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from yofo_mlx.system.files import patiently, replacing, sync, sync_folder

if TYPE_CHECKING:
    from yofo_mlx.runs.kinds import Kind

FINAL_KINDS: Final = frozenset({"finished", "stopped", "failed"})  # none follows but a resuming
MAX_READ: Final = 4 * 1024 * 1024
BLOCK: Final = 256 * 1024
PAST_FILE: Final = "past.jsonl"
_LOADING: Final = "loading"
_WHILE_LOADING: Final = ("progress", "stopped", "failed")

Event = dict[str, Any]


def as_read(told: "Kind") -> Event:
    """Return what happens now as a reader of the stream gets it."""
    event: Event = json.loads(_line(told.now()))
    return event


class EventWriter:
    """Appends events to a file; a line is there as a whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def _open(self) -> None:
        is_new = not self.path.exists()
        end_torn_line(self.path)
        self._file = self.path.open("ab", buffering=0)
        if is_new:
            sync_folder(self.path.parent)
        self.position = self._file.seek(0, os.SEEK_END)

    def write(self, told: "Kind") -> Event:
        """Append one event and return it as it is read; raise OSError if the disk is full."""
        event = as_read(told)
        patiently(lambda: self.append(_line(event)), "the event stream")
        if event["kind"] in FINAL_KINDS:
            self.sync()
        return event

    def append(self, line: bytes) -> None:
        """Append a line, or several, as a whole; raise OSError and leave nothing of it."""
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            self._file.truncate(self.position)
            raise
        self.position += len(line)

    def sync(self) -> None:
        """Flush what was written to the disk."""
        sync(self._file.fileno())

    def roll_back(self, position: int, step: int) -> Event | None:
        """Take back what was written after `position`, since the run goes on from there.

        The lines are kept in `past.jsonl`. A run that had begun goes on: that is told there, by a
        `resumed` event, which is returned. The stream is replaced, not shortened in place, so that
        a reader can tell.
        """
        whole = self.path.read_bytes()
        from yofo_mlx.runs.kinds import ResumedEvent

        position = min(position, _end_of_training(whole))
        lost = {event["kind"] for line in whole[position:].splitlines() if (event := parse(line))}
        lines, resumed = b"", None
        if lost - {_LOADING}:
            lines = whole[position:].rstrip(b"\n") + b"\n"
        if position or "started" in lost:
            resumed = as_read(ResumedEvent(step=step))
            lines += _line(resumed)
        if lines:
            past = EventWriter(self.path.with_name(PAST_FILE))
            patiently(lambda: past.append(lines), PAST_FILE)
            past.sync()
            past.close()

        def shorten() -> None:
            with replacing(self.path) as temporary:
                temporary.write_bytes(whole[:position])

        patiently(shorten, "the event stream")
        self.close()
        self._open()
        return resumed

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _end_of_training(stream: bytes) -> int:
    """Return where a stream ends but for the words of trainers that only loaded."""
    lines = stream.splitlines(keepends=True)
    end = len(lines)
    for place in reversed(range(end)):
        event = parse(lines[place])
        if event and event["kind"] == _LOADING:
            end = place
        elif event and event["kind"] not in _WHILE_LOADING:
            break
    return sum(map(len, lines[:end]))


def _line(event: Event) -> bytes:
    # A lone surrogate becomes JSON's own escape of it.
    return (json.dumps(finite(event), ensure_ascii=False) + "\n").encode(
        "utf-8", "backslashreplace"
    )


class EventReader:
    """Reads the events that were added since the last call, in bounded bites.

    `restarts` counts how often the stream was replaced: it is then read from its start again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.restarts = 0
        self._offset = 0
        self._file_id: tuple[int, int] | None = None

    def read(self) -> list[Event]:
        """Return new whole events; a torn last line waits, a damaged line is skipped."""
        try:
            with self.path.open("rb") as file:
                self._notice(os.fstat(file.fileno()))
                file.seek(self._offset)
                data = file.read(MAX_READ)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) == MAX_READ:  # a line longer than a bite is no event
            end = len(data)
        self._offset += end
        return [event for line in data[:end].splitlines() if (event := parse(line)) is not None]

    def _notice(self, found: os.stat_result) -> None:
        """Start again if this is not the file that was read before."""
        file_id = (found.st_dev, found.st_ino)
        if self._file_id not in (None, file_id) or found.st_size < self._offset:
            self._offset = 0
            self.restarts += 1
        self._file_id = file_id

    def __iter__(self) -> Iterator[Event]:
        """Yield all events that are there now."""
        offset = -1
        while offset != self._offset:
            offset = self._offset
            yield from self.read()


def parse(line: bytes) -> Event | None:
    """Return the event on a line, or None for anything else."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(event, dict) and isinstance(event.get("kind"), str)
    return event if known and isinstance(event.get("t"), int | float) else None


def first_event(path: Path) -> Event | None:
    """Return the event on the first line of a stream."""
    try:
        with path.open("rb") as file:
            return parse(file.readline(1 << 20))
    except OSError:
        return None


def last_event(path: Path) -> Event | None:
    """Return the last whole event of a stream."""
    return next(backwards(path), None)


def backwards(path: Path, kinds: Collection[str] = ()) -> Iterator[Event]:
    """Yield the events of a stream, or those of some kinds, the last one first."""
    marks = [json.dumps(kind).encode() for kind in kinds]
    for line in _lines_backwards(path):
        if marks and not any(mark in line for mark in marks):  # spares most lines the parsing
            continue
        event = parse(line)
        if event is not None and (not kinds or event["kind"] in kinds):
            yield event


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first, none if it is missing."""
    try:
        with path.open("rb") as file:
            end, rest = file.seek(0, os.SEEK_END), b""
            while end > 0:
                start = max(0, end - BLOCK)
                file.seek(start)
                rest, *lines = (file.read(end - start) + rest).split(b"\n")
                yield from reversed(lines)
                if len(rest) > MAX_READ:  # a line longer than a bite is no event
                    rest = b""
                end = start
            yield rest
    except OSError:
        return


def figure(event: Event | None, field: str) -> float | None:
    """Return a field that is a finite number, None for anything else."""
    value = None if event is None else event.get(field)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if -sys.float_info.max <= value <= sys.float_info.max else None


def seconds_of(step: Event) -> float:
    """Return how long a step took, pauses between steps left out."""
    tokens, pace = figure(step, "tokens"), figure(step, "tokens_per_s")
    return tokens / pace if tokens and pace and pace > 0 else 0.0


def end_torn_line(path: Path) -> None:
    """End the half-written last line a killed writer left, so that the next event stands alone."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value
