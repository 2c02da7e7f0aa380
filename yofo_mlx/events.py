"""The event stream of a run: one JSON object a line, appended by the trainer, read by every viewer.

Kinds and their fields:
    started     run_id, model, steps|tokens (planned), train_tasks, held_out_tasks,
                trainable_parameters
    plan        chunk, stash, model_gb, step_gb, limit_gb, native_attention
    progress    step, done, total, phase          inside a step or a validation
    step        step, loss, lr, grad_norm, tokens, targets, shots, tokens_per_s, targets_per_s,
                peak_gb, memory_gb, total_tokens, share (of the run done), seconds_left
    eval        step, loss, by_shots: [{shots, accuracy, loss}], best
    checkpoint  step, path
    warning     message, hint
    finished    step, best_step, seconds
    stopped     step, reason
    failed      step, message, hint
"""

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

VERSION: Final = 1
FINAL_KINDS: Final = frozenset({"finished", "stopped", "failed"})
MAX_READ: Final = 4 * 1024 * 1024

Event = dict[str, Any]


class EventWriter:
    """Appends events to a file; every line is flushed, so that a reader sees whole events only."""

    def __init__(self, path: Path) -> None:
        end_torn_line(path)
        self._file: TextIO = path.open("a", encoding="utf-8")

    def write(self, kind: str, **fields: Any) -> Event:
        """Append one event and return it."""
        event = {"v": VERSION, "t": round(time.time(), 3), "kind": kind} | fields
        self._file.write(json.dumps(finite(event), ensure_ascii=False) + "\n")
        self._file.flush()
        if kind in FINAL_KINDS or kind == "checkpoint":
            os.fsync(self._file.fileno())
        return event

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class EventReader:
    """Reads the events that were added since the last call, in bounded bites."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read(self) -> list[Event]:
        """Return new whole events; a torn last line waits, a damaged line is skipped."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(MAX_READ)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) == MAX_READ:  # a line longer than a bite is no event
            end = len(data)
        self._offset += end
        return [event for line in data[:end].splitlines() if (event := parse(line)) is not None]

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
