"""The console of a trainer: what it prints is kept in the run folder, also when it dies."""

import faulthandler
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TextIO

from yofo_mlx.runs.diagnosis import first_words
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.signals import hang_up_ignored

STDERR = 2


@contextmanager
def recorded(run: Run, *, detached: bool) -> Iterator[TextIO]:
    """Keep stderr in `console.log` too; yield a stream that goes to the terminal alone.

    Where the trainer was detached, stderr is that file already. A terminal that is closed ends
    neither the trainer nor the record.
    """
    with run.console_path.open("a", encoding="utf-8") as log:
        log.write(first_words(f"process {os.getpid()}"))
    with ExitStack() as stack:
        stack.enter_context(hang_up_ignored())
        if not faulthandler.is_enabled():
            faulthandler.enable(STDERR)
            stack.callback(faulthandler.disable)
        if detached or not _is_the_descriptor(sys.stderr):
            yield sys.stderr
        else:
            yield stack.enter_context(_through_tee(run))


@contextmanager
def _through_tee(run: Run) -> Iterator[TextIO]:
    """Send stderr through `tee`: a process of its own, it outlives an abort of this one."""
    before = os.dup(STDERR)
    tee = subprocess.Popen(
        ["tee", "-a", str(run.console_path)],
        stdin=subprocess.PIPE,
        stdout=STDERR,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it hears of no Ctrl-C and no hang-up
        restore_signals=False,  # SIGPIPE stays ignored: a reader that leaves ends no record
    )
    assert tee.stdin is not None
    os.dup2(tee.stdin.fileno(), STDERR)
    tee.stdin.close()
    stream = os.fdopen(before, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    try:
        yield stream
    finally:
        sys.stderr.flush()
        os.dup2(before, STDERR)
        with suppress(OSError):  # the terminal has gone
            stream.close()
        with suppress(subprocess.TimeoutExpired):  # the terminal is held up
            tee.wait(timeout=10)


def _is_the_descriptor(stream: TextIO) -> bool:
    try:
        return stream.fileno() == STDERR
    except (OSError, ValueError):  # captured by a test
        return False
