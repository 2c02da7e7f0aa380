"""How far long reading is, for whoever listens: the command line on stderr, a run in its events."""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol, Self, TypeVar

from yofo_mlx.system.quantities import size
from yofo_mlx.system.talk import can_draw, say
from yofo_mlx.system.text import shorten

EVERY_S = 0.2
LINE_EVERY_S = 10.0  # where lines stay: a pipe, a file, an event stream
_WIDTH = 60  # most characters of a line that is written over

Thing = TypeVar("Thing")


class Bytes(int):
    """A number of bytes, to be told as one."""


class Listener(Protocol):
    """Who wants to know."""

    def tell(self, what: str, done: int, total: int) -> None:
        """Hear how many of how many are done; a total of 0 is not known, 0 of 0 is not counted."""

    def end(self) -> None:
        """Hear that all of it is."""


_listeners: list[Listener] = []


class Progress:
    """Counts what is done, and now and then tells the listeners."""

    def __init__(self, what: str, total: int = 0) -> None:
        self._what, self._total, self._done = what, total, 0
        self._due = time.monotonic() + EVERY_S

    def tick(self) -> None:
        """Count one more."""
        self._done += 1
        if _listeners and (now := time.monotonic()) >= self._due:
            self._due = now + EVERY_S
            tell(self._what, self._done, self._total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        end()


def counted(things: Iterable[Thing], what: str) -> Iterator[Thing]:
    """Yield things, and tell how many there were so far."""
    with Progress(what) as progress:
        for thing in things:
            progress.tick()
            yield thing


def tell(what: str, done: int = 0, total: int = 0) -> None:
    """Tell the listeners now."""
    for listener in _listeners:
        listener.tell(what, done, total)


def end() -> None:
    """Tell the listeners that there is nothing more to tell."""
    for listener in _listeners:
        listener.end()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener, too, while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def on_stderr() -> AbstractContextManager[None]:
    """Tell on stderr while the block runs."""
    return listening(_OneLine() if can_draw(sys.stderr) else Seldom(_say))


class Seldom:
    """Hands on what is told every ten seconds; at once what is new and not counted."""

    def __init__(self, tell: Callable[[str, int, int], None]) -> None:
        self._tell = tell
        self._due = time.monotonic() + LINE_EVERY_S
        self._news = ""

    def tell(self, what: str, done: int, total: int) -> None:
        """Hand it on, if it is time."""
        is_news = not (done or total) and what != self._news
        if is_news or time.monotonic() >= self._due:
            self._due = time.monotonic() + LINE_EVERY_S
            self._news = what
            self._tell(what, done, total)

    def end(self) -> None:
        """Do nothing: lines stay."""


class _OneLine:
    """One line of a terminal, written over and gone at the end."""

    _shown = False

    def tell(self, what: str, done: int, total: int) -> None:
        self._shown = True
        _write(words(what, done, total))

    def end(self) -> None:
        if self._shown:
            _write("")
        self._shown = False


def _write(line: str) -> None:
    width = min(_WIDTH, shutil.get_terminal_size().columns - 1)  # a longer one would wrap
    with suppress(OSError, ValueError):
        sys.stderr.write(f"\r{shorten(line, width):<{width}}\r")
        sys.stderr.flush()


def _say(what: str, done: int, total: int) -> None:
    say(shorten(words(what, done, total), 300))


def words(what: str, done: int, total: int) -> str:
    """Return what is told as a line."""
    if isinstance(total, Bytes):
        return f"{size(done)} of {size(total)}, {what}"
    if not (done or total):
        return what
    return f"{what}: {done:,} of {total:,}" if total else f"{what}: {done:,}"
