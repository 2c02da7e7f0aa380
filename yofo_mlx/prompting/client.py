"""The prompting side of a session: starts the process, calls it, survives its death."""

import os
import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Self

from yofo_mlx.errors import DataError, RunError
from yofo_mlx.prompting import protocol
from yofo_mlx.prompting.protocol import Params, ProtocolError, Request, Response
from yofo_mlx.system import child as processes

OnNote = Callable[[str, Params], None]
"""Called with a notification's method and params, in the thread that waits for the result."""

SESSION = processes.command("yofo_mlx.prompting.session")

_PATIENCE = 3.0  # seconds a session gets to end by itself
_TAIL_BYTES = 4096
_Mail = queue.SimpleQueue[Request | Response | RunError]


class SessionClient:
    """A session process and calls to it; may be used from several threads."""

    def __init__(
        self, command: Sequence[str] | None = None, echo: Callable[[str], None] | None = None
    ) -> None:
        """`command` starts another program in the session's place, `echo` gets its stderr."""
        self._command = list(command) if command else None
        self._echo = echo
        self._child: _Child | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._child is not None and self._child.process.poll() is None

    @property
    def ended(self) -> RunError | None:
        """Why the process ended, None as long as that is not known."""
        return None if self._child is None else self._child.obituary

    @property
    def pid(self) -> int | None:
        """The process id, None before the first start."""
        return None if self._child is None else self._child.process.pid

    def start(self) -> None:
        """Start the process unless it was started; calls do so by themselves."""
        self._started()

    def restart(self) -> None:
        """End the process, dead or alive, and start a new one with nothing loaded."""
        self.close()
        self._closed = False
        self.start()

    def call(
        self, method: str, params: Params | None = None, on_note: OnNote | None = None
    ) -> dict[str, Any]:
        """Call and wait for the result; RunError if the session dies, Cancelled if it gave up."""
        return self._started().call(method, params or {}, on_note)

    def cancel(self) -> None:
        """Ask the session to give up what it is doing; the waiting call then ends."""
        if (child := self._child) is not None:
            child.send(protocol.request_line(None, "cancel", {}))

    def kill(self) -> None:
        """End the process at once, stuck as it may be; calls that wait raise RunError."""
        if (child := self._child) is not None:
            child.process.kill()

    def close(self) -> None:
        """End the process; calls that still wait raise RunError."""
        with self._lock:
            self._closed = True
            child, self._child = self._child, None
        if child is not None:
            child.close()

    def _started(self) -> "_Child":
        with self._lock:
            if self._closed:
                raise RunError("the session was closed", "restart it")
            if self._child is None:
                self._child = _Child(self._command or SESSION, self._echo)
            return self._child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Child:
    """One session process with the threads that read its pipes."""

    def __init__(self, command: list[str], echo: Callable[[str], None] | None) -> None:
        self._echo = echo
        self._ids = count(1)
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._waiting: dict[protocol.Id, _Mail] = {}
        self.obituary: RunError | None = None
        self._tail = b""
        # A session of its own: Ctrl-C in the terminal is for the prompt, not for the model.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=processes.environment(),
            start_new_session=True,
        )
        self._talk = threading.Thread(target=self._read_stderr, daemon=True)
        self._talk.start()
        self._reader = threading.Thread(target=self._read_stdout, daemon=True)
        self._reader.start()

    def call(self, method: str, params: Params, on_note: OnNote | None) -> dict[str, Any]:
        mail: _Mail = queue.SimpleQueue()
        with self._lock:
            if self.obituary is not None:
                raise RunError(self.obituary.message, self.obituary.hint)
            id = next(self._ids)
            self._waiting[id] = mail
        try:
            self.send(_line(id, method, params))
            while isinstance(message := mail.get(), Request):
                if on_note is not None:
                    on_note(message.method, message.params)
        finally:
            with self._lock:
                del self._waiting[id]
        if isinstance(message, RunError):
            raise message
        if message.error is not None:
            raise protocol.exception_from(message.error)
        return dict(message.result or {})

    def send(self, line: bytes) -> None:
        """Write a line; a broken pipe is left to the reader, which knows why."""
        assert self.process.stdin is not None
        with suppress(OSError, ValueError), self._writing:
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def close(self) -> None:
        """End the process: politely, then firmly, which frees what waits at a full pipe too."""
        firmly = threading.Timer(_PATIENCE, self.process.kill)
        firmly.daemon = True
        firmly.start()
        self.send(protocol.request_line(None, "cancel", {}))
        self._close_stdin()
        self.process.wait()
        firmly.cancel()
        self._reader.join(_PATIENCE)

    def _close_stdin(self) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with suppress(ProtocolError):
                    self._deliver(protocol.parse(line))
        self._bury()

    def _deliver(self, message: Request | Response) -> None:
        id = message.id if isinstance(message, Response) else message.params.get("id")
        with self._lock:
            mail = self._waiting.get(id)
        if mail is not None:
            mail.put(message)

    def _bury(self) -> None:
        """Tell every waiting call that the process is dead, with its last words."""
        code = self.process.wait()
        self._talk.join(1.0)
        words = self._tail.decode("utf-8", "replace").strip().splitlines()[-5:]
        cause = processes.ending(code) if code else "closed"
        obituary = RunError(f"the session process ended: {cause}", _advice(code, words))
        with self._lock:
            self.obituary = obituary
            for mail in self._waiting.values():
                mail.put(obituary)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as pipe:
            while chunk := os.read(pipe.fileno(), 65536):
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
                if self._echo is not None:
                    self._echo(chunk.decode("utf-8", "replace"))


def _line(id: int, method: str, params: Params) -> bytes:
    """Return a request's line; one that the session would not read is refused here."""
    line = protocol.request_line(id, method, params)
    if len(line) > protocol.LONGEST_LINE:
        raise DataError(
            f"{method}: {len(line) / 1e6:,.0f} MB are too much for a session, which takes"
            f" {protocol.LONGEST_LINE / 1e6:,.0f} MB",
            "give fewer demonstrations to choose from, such as the first 100,000 lines",
        )
    return line


def _advice(code: int, words: list[str]) -> str:
    memory = "if memory ran out, use fewer demonstrations or a smaller model; " if code < 0 else ""
    last = "; its last words:\n" + "\n".join(words) if words else ""
    return f"{memory}ask again: that starts another{last}"
