"""The session process: JSON-RPC lines in and out, the model's work on the main thread.

A reader thread takes the lines as they come, so that a cancel is seen while the model computes.
Standard output carries messages only; whatever a library prints goes to standard error.
"""

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from yofo_mlx.errors import Cancelled, FitError, YofoError
from yofo_mlx.prompting import parameters, protocol
from yofo_mlx.prompting.protocol import LONGEST_LINE, ProtocolError, Request
from yofo_mlx.prompting.stages import told_to
from yofo_mlx.system import blas

if TYPE_CHECKING:
    from yofo_mlx.prompting.prompter import Prompter


class Job:
    """A request in the queue or at work; satisfies Work."""

    def __init__(self, request: Request, channel: "Channel") -> None:
        self.request = request
        self._channel = channel
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Let the work end at its next check."""
        self._given_up.set()

    def check(self) -> None:
        """Raise Cancelled if the caller has given it up."""
        if self._given_up.is_set():
            raise Cancelled(f"{self.request.method} was cancelled")

    def note(self, method: str, **params: Any) -> None:
        """Send a notification about the request."""
        if self.request.id is not None:
            line = protocol.request_line(None, method, {"id": self.request.id, **params})
            self._channel.write(line)


class Channel:
    """The pipe to the caller, shared by both threads."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        """Write a line at once; OSError when nobody listens any more."""
        with self._lock:
            self._output.write(line)
            self._output.flush()


class InputReader:
    """Turns lines into jobs; cancels are carried out at once."""

    def __init__(self, lines: BinaryIO, channel: Channel) -> None:
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lines, self._channel = lines, channel
        self._open: list[Job] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Read in a thread of its own; None ends the jobs."""
        threading.Thread(target=self._run, daemon=True).start()

    def close(self, job: Job) -> None:
        """Forget a job that is answered."""
        with self._lock:
            self._open.remove(job)

    def _run(self) -> None:
        try:
            while line := self._lines.readline(LONGEST_LINE):
                try:
                    self._take(self._whole(line))
                except ProtocolError as error:
                    self._channel.write(protocol.error_line(error.id, error))
        except OSError:
            pass  # nobody listens: the main thread finds out as well
        finally:
            self.jobs.put(None)

    def _whole(self, line: bytes) -> bytes:
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            return line
        while line and not line.endswith(b"\n"):
            line = self._lines.readline(LONGEST_LINE)
        raise ProtocolError(protocol.INVALID_REQUEST, f"a line is over {LONGEST_LINE} bytes long")

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        request = protocol.parse(line)
        if not isinstance(request, Request):
            raise ProtocolError(protocol.INVALID_REQUEST, "this side answers, it does not ask")
        if request.method == "cancel":
            self._cancel(request)
            return
        job = Job(request, self._channel)
        with self._lock:
            self._open.append(job)
        self.jobs.put(job)

    def _cancel(self, request: Request) -> None:
        """Give up everything that was asked for before."""
        with self._lock:
            jobs = list(self._open)
        for job in jobs:
            job.give_up()
        if request.id is not None:
            self._channel.write(protocol.result_line(request.id, {"cancelled": len(jobs)}))


class Session:
    """Answers jobs one after the other."""

    def __init__(self, lines: BinaryIO, output: BinaryIO) -> None:
        self._channel = Channel(output)
        self._reader = InputReader(lines, self._channel)

    def run(self) -> None:
        """Answer until the caller closes its side."""
        self._reader.start()
        methods = _methods()
        while (job := self._reader.jobs.get()) is not None:
            answer = _answer(job, methods)
            self._reader.close(job)
            if job.request.id is not None:
                self._channel.write(answer)


Method = Callable[[Any, Any], dict[str, Any]]
Methods = dict[str, tuple[type[parameters.Parameters], Method]]


def _methods() -> Methods:
    from yofo_mlx.prompting.prompter import Prompter  # imports mlx, which takes a second

    return methods_of(Prompter())


def methods_of(prompter: "Prompter") -> Methods:
    """Return what can be called, by name."""
    return {
        "load": (parameters.Load, prompter.load),
        "prefill": (parameters.Prefill, prompter.prefill),
        "generate": (parameters.Generate, prompter.generate),
        "score": (parameters.Score, prompter.score),
        "health": (parameters.Health, prompter.health),
        "save_cache": (parameters.CacheFile, prompter.save_cache),
        "load_cache": (parameters.CacheFile, prompter.load_cache),
        "stats": (parameters.Nothing, prompter.stats),
    }


def _answer(job: Job, methods: Methods) -> bytes:
    """Do a job; whatever goes wrong becomes an answer."""
    request = job.request
    try:
        job.check()
        if request.method not in methods:
            raise ProtocolError(protocol.METHOD_NOT_FOUND, f"no method {request.method!r}")
        kind, method = methods[request.method]
        with told_to(job):
            return protocol.result_line(request.id, method(parameters.read(kind, request), job))
    except (YofoError, ProtocolError) as error:
        return protocol.error_line(request.id, error)
    except BrokenPipeError:
        raise
    except Exception as error:
        traceback.print_exc()
        return protocol.error_line(request.id, out_of_memory(error) or error)


def out_of_memory(error: Exception) -> FitError | None:
    """Return in words what a library says where memory ran out."""
    if isinstance(error, MemoryError) or "malloc" in str(error):
        return FitError(
            f"memory ran out: {error}", "use fewer demonstrations, or a smaller or quantised model"
        )
    return None


def main() -> None:
    """Serve one caller over standard input and output."""
    blas.preload()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller cancels, the terminal does not
    lines = os.fdopen(os.dup(0), "rb")
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        Session(lines, output).run()
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
