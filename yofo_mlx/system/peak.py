"""The peak of MLX's memory, which measuring something else in between does not lower or raise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mlx.core as mx

_before = 0  # the peak until something else was measured


def reset_peak() -> None:
    """Begin a new peak."""
    global _before
    _before = 0
    mx.reset_peak_memory()


def peak() -> int:
    """Return the bytes of the peak since it was begun."""
    return max(_before, mx.get_peak_memory())


@contextmanager
def aside() -> Iterator[None]:
    """Do something that is not to count."""
    global _before
    _before = peak()
    mx.reset_peak_memory()
    try:
        yield
    finally:
        mx.reset_peak_memory()


def growth_of(work: Callable[[], None]) -> int:
    """Return by how many bytes memory grows while something is done, which does not count."""
    with aside():
        held = mx.get_active_memory()
        work()
        return int(mx.get_peak_memory() - held)
