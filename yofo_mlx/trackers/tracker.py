"""What every tracker can do, and how its package is found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from yofo_mlx.errors import YofoError
from yofo_mlx.runs.folder import Run


class Tracker(Protocol):
    """Takes the figures of one run."""

    package: str  # that it writes with

    def begin(self, run: Run) -> None:
        """Open what is written, with what the run was trained with."""

    def log(self, step: int, seconds: float, figures: dict[str, float]) -> None:
        """Take the figures of a step, told at a Unix time."""

    def end(self, *, well: bool) -> str:
        """Close it; return where it is."""


@contextmanager
def needing(name: str, extra: str) -> Iterator[None]:
    """Say what to install where a tracker's package is missing."""
    try:
        yield
    except ImportError as error:
        raise YofoError(
            f"{name} is not installed: {error}", f"pip install 'yofo[{extra}]', then once more"
        ) from error
