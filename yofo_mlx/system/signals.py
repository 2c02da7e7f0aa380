"""Signals, answered differently for a while."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)  # what asks a process to end


@contextmanager
def answered(answer: Callable[[int, object], None]) -> Iterator[None]:
    """Let `answer` (signal number, frame) take what asks this process to end."""
    before = {number: signal.signal(number, answer) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Let what asks this process to end wait until something is done; from the main thread only."""
    came: list[int] = []
    with answered(lambda number, _: came.append(number)):
        yield
    if came:
        signal.raise_signal(came[0])


@contextmanager
def hang_up_ignored() -> Iterator[None]:
    """Outlive the terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def forwarding(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Pass on to a child what asks this process to end."""
    with answered(lambda number, frame: process.send_signal(number)):
        yield
