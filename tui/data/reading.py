"""The app's side of the process that reads data sets."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system import child
from yofo_mlx.system.text import shorten

from .sets import DataSet, from_facts, unread

READER = child.command(f"{__package__}.reader")


@dataclass(frozen=True)
class Done:
    """A source was read."""

    index: int
    sets: list[DataSet]


@dataclass(frozen=True)
class Reading:
    """How far the reading of something is; a total of 0 is not known."""

    what: str
    done: int
    total: int


class Reader:
    """One process that reads sources, in their order; stopping it is ending it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End the reading, wherever it is."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.kill()

    def read(self, sources: dict[int, TaskSource]) -> Iterator[Done | Reading]:
        """Yield what is read; if the process dies, that is what is wrong with the rest."""
        waiting = dict(sources)
        with tempfile.TemporaryFile("w+", errors="replace") as words:
            process = self._start(waiting, words)
            if process is None:
                return
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    if not line.endswith("\n"):  # it was ended in the middle of it
                        break
                    message = json.loads(line)
                    if "index" in message:
                        sets = [from_facts(facts) for facts in message["sets"]]
                        yield Done(message["index"], sets)
                        del waiting[message["index"]]
                    else:
                        yield Reading(**message)
            code = process.wait()
            if not self._is_stopped:
                wrong = f"the process that read it ended: {child.ending(code)}"
                for index, source in waiting.items():
                    yield Done(index, [unread(source, wrong, _advice(code, words))])

    def _start(
        self, sources: dict[int, TaskSource], words: IO[str]
    ) -> "subprocess.Popen[str] | None":
        asked = {str(index): _facts(source) for index, source in sources.items()}
        with self._lock:
            if self._is_stopped:
                return None
            self._process = process = subprocess.Popen(
                READER,
                env=child.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                start_new_session=True,
            )
        assert process.stdin is not None
        with suppress(OSError):  # it died at once: its return code says more
            process.stdin.write(json.dumps({"sources": asked}) + "\n")
            process.stdin.flush()
        return process


def _facts(source: TaskSource) -> dict[str, Any]:
    return source.model_dump(mode="json", exclude_unset=True)


def _advice(code: int, words: IO[str]) -> str:
    """Say what may help: less data where it was killed, else the last words."""
    if code < 0:
        return "if memory ran out, read a part of the data; `u` reads it again"
    words.seek(0)
    last = [line for line in words.read().splitlines() if line.strip()]
    return f"its last words: {shorten(last[-1], 200)}" if last else "`u` reads it again"
