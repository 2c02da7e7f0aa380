"""Errors a user can act on, and the exit code each one ends the program with.

Every error is two lines on the terminal: what is wrong and where, then what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees when a verb ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DATA = 3
    WONT_FIT = 4
    MEMORY_SHORT = 5
    INTERRUPTED = 130


class YofoError(Exception):
    """Something a user can mend: `message` says what and where, `hint` what to do."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.message, self.hint)


class RecipeError(YofoError, ValueError):
    """A recipe, an override or an argument that cannot be used as written."""

    exit_code = ExitCode.USAGE


class DataError(YofoError, ValueError):
    """A data file or a row that cannot be used as it is."""

    exit_code = ExitCode.DATA


class FitError(YofoError, MemoryError):
    """A run that would not fit this machine's memory."""

    exit_code = ExitCode.WONT_FIT


class MemoryShort(YofoError, MemoryError):
    """A run that left, with what it has saved, before it took memory that is not there."""

    exit_code = ExitCode.MEMORY_SHORT


class RunError(YofoError, RuntimeError):
    """A run that failed, or a run folder that cannot be read."""


class Cancelled(YofoError):
    """Work that was given up because somebody asked for it."""

    exit_code = ExitCode.INTERRUPTED


class Mistakes:
    """What is wrong with several things that do not depend on one another, told at once."""

    def __init__(self) -> None:
        self._found: list[YofoError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Go on after a mistake."""
        try:
            yield
        except YofoError as error:
            self._found.append(error)

    def tell(self) -> None:
        """Refuse, with all of them, if there are any; the first one's exit code counts."""
        if not self._found:
            return
        if len(self._found) == 1:
            raise self._found[0]
        message, hint = (
            "; ".join(dict.fromkeys(filter(None, texts)))
            for texts in zip(*((one.message, one.hint) for one in self._found), strict=True)
        )
        raise type(self._found[0])(message, hint)
