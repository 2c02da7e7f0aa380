"""Words on stderr that cannot fail: what they are about matters more."""

import os
import sys
from contextlib import suppress


def say(words: str) -> None:
    """Print a line on stderr, if there is room and somebody to read it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{words}\n")
        sys.stderr.flush()


def say_now(words: str) -> None:
    """Print a line from a signal's handler, which may have interrupted a print."""
    with suppress(OSError):
        os.write(2, f"{words}\n".encode())
