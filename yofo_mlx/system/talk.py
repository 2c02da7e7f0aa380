"""Words on stderr that cannot fail: what they are about matters more; and what a terminal can."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from yofo_mlx.system.text import printable


def say(words: str) -> None:
    """Print a line on stderr, if there is room and somebody to read it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(printable(words, keep="\n") + "\n")
        sys.stderr.flush()


def say_next(command: str) -> None:
    """Say which command of yofo goes on from here; it works when it is pasted."""
    say(f"next: {_program()} {command}")


def say_again(*more: str) -> None:
    """Say that the same command, with these words more, goes on from here."""
    say_next(quoted(*sys.argv[1:], *more))


@contextmanager
def keeping(words: str) -> Iterator[None]:
    """Say, where Ctrl-C ends a work, what is kept of it, and that the same command goes on."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"\n{words}")
        say_again()
        raise


def quoted(*words: str | Path) -> str:
    """Return words as a shell reads them back; a file that begins with a dash is no option."""
    texts = (printable(str(word)) for word in words)
    return " ".join(shlex.quote(f"./{text}" if _is_dashed(text) else text) for text in texts)


def _is_dashed(text: str) -> bool:
    return text.startswith("-") and os.path.lexists(text)


def _program() -> str:
    """Return how to call yofo from here: by the path it was called by, if by no other way."""
    called = sys.argv[0]
    if Path(called).name != "yofo" or shutil.which("yofo"):
        return "yofo"
    return shlex.quote(called)


def print_path(path: Path) -> None:
    """Print a path on stdout: as it is for a script, harmlessly on a terminal."""
    sys.stdout.write(f"{printable(str(path)) if sys.stdout.isatty() else path}\n")
    sys.stdout.flush()


def say_now(words: str) -> None:
    """Print a line from a signal's handler, which may have interrupted a print."""
    with suppress(OSError):
        os.write(2, f"{words}\n".encode())


def can_draw(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that moves its cursor."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def has_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal with colours, and its user wants them (no-color.org)."""
    return can_draw(stream) and not os.environ.get("NO_COLOR")
