"""Processes that somebody waits for, of a study or a queue: they train runs, or run a module."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from yofo_mlx.errors import Cancelled, RunError
from yofo_mlx.runs import launch
from yofo_mlx.runs.diagnosis import explain
from yofo_mlx.runs.events import Event
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import child
from yofo_mlx.system.text import shorten

POLL_S = 0.2


class Crew:
    """Children that are asked to stop together."""

    def __init__(self) -> None:
        self._asked = 0
        self._stoppers: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    @property
    def asked(self) -> int:
        """How many times they were asked."""
        return self._asked

    @property
    def is_stopping(self) -> bool:
        """Tell whether they were asked."""
        return self._asked > 0

    def stop(self) -> None:
        """Ask all of them to keep what they have and end; asked again, at once."""
        with self._lock:
            self._asked += 1
            for stopper in self._stoppers:
                stopper()

    @contextmanager
    def _stopped_by(self, stopper: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            if self._asked:
                raise Cancelled("asked to stop")
            self._stoppers.append(stopper)
        try:
            yield
        finally:
            with self._lock:
                self._stoppers.remove(stopper)

    def train(
        self,
        run: Run,
        on_event: Callable[[Event], None],
        *,
        force: bool = False,
        restarts: int = 0,
    ) -> None:
        """Train a run to its end, or go on with it; somebody else's trainer is waited for."""

        def stopper() -> None:
            with suppress(OSError):
                run.request_stop(now=self._asked > 1)
            run.interrupt()

        with self._stopped_by(stopper):
            if not run.is_locked():
                run.stop_path.unlink(missing_ok=True)
                launch.detach(run, force=force, restarts=restarts)
            reader = run.events()
            while True:
                alive = run.is_locked()  # before the events: what is written last is read after
                for event in reader:
                    on_event(event)
                if not alive:
                    break
                time.sleep(POLL_S)
        if run.status() == "finished":
            return
        if self.is_stopping:
            raise Cancelled("asked to stop")
        death = explain(run)
        words = (death.message, death.hint) if death else (f"it is {run.status()}", "")
        raise RunError(*words)

    def call(
        self,
        module: str,
        *arguments: str,
        log: Path,
        line: str = "",
        on_line: Callable[[Any], None] = lambda told: None,
    ) -> None:
        """Run a module of yofo on a line of input; `on_line` gets the lists of JSON it prints.

        What it prints as an object is what went wrong.
        """
        with self._lock:
            if self._asked:
                raise Cancelled("asked to stop")
            process = _begin(module, arguments, log)
        failure: dict[str, str] = {}

        def stopper() -> None:
            process.send_signal(signal.SIGINT)

        assert process.stdin and process.stdout
        with process, self._stopped_by(stopper):  # leaving closes its input, and waits
            with suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(line + "\n")
            for words in process.stdout:
                told = _parsed(words)
                if isinstance(told, list):
                    on_line(told)
                elif isinstance(told, dict):
                    failure = told
        if process.returncode == 0:
            return
        if self.is_stopping:
            raise Cancelled("asked to stop")
        if "message" in failure:
            raise RunError(failure["message"], failure["hint"])
        last = log.read_text("utf-8", "replace").strip().splitlines()[-2:]
        how = f"{module.rpartition('.')[2]}: {child.ending(process.returncode)}"
        raise RunError(how, shorten(" ".join(last), 300))


def _begin(module: str, arguments: Sequence[str], log: Path) -> "subprocess.Popen[str]":
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as console:
        return subprocess.Popen(
            child.command(module, *arguments),
            env=child.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=console,
            text=True,
            start_new_session=True,
        )


def _parsed(words: str) -> Any:
    try:
        return json.loads(words)
    except ValueError:
        return None
