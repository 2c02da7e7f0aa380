"""Words on stderr that cannot fail: what they are about matters more."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from yofo_mlx.text import printable


def say(words: str) -> None:
    """Print a line on stderr, if there is room and somebody to read it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(printable(words, keep="\n") + "\n")
        sys.stderr.flush()


def print_path(path: Path) -> None:
    """Print a path on stdout: as it is for a script, harmlessly on a terminal."""
    sys.stdout.write(f"{printable(str(path)) if sys.stdout.isatty() else path}\n")
    sys.stdout.flush()


def say_now(words: str) -> None:
    """Print a line from a signal's handler, which may have interrupted a print."""
    with suppress(OSError):
        os.write(2, f"{words}\n".encode())
