"""The peak of MLX's memory, which measuring something else in between does not lower or raise."""

from collections.abc import Callable

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


def growth_of(work: Callable[[], None]) -> int:
    """Return by how many bytes memory grows while something is done, and leave the peak alone."""
    global _before
    _before = peak()
    held = mx.get_active_memory()
    mx.reset_peak_memory()
    try:
        work()
        return int(mx.get_peak_memory() - held)
    finally:
        mx.reset_peak_memory()
