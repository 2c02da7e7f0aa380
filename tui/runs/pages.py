"""The pages that this place opens, each imported at its first use."""

from typing import Any

from textual.screen import Screen

from yofo_mlx.runs.folder import Run


def compare_page(runs: list[Run]) -> Screen[None]:
    """Return the comparison of some runs."""
    from .compare.screen import CompareScreen

    return CompareScreen(runs)


def page(name: str) -> Screen[Any]:
    """Return a page by its name; it gives back the run that it led to, or None."""
    if name == "queue":
        from .queue import QueueScreen

        return QueueScreen()
    if name == "disk":
        from .disk import DiskScreen

        return DiskScreen()
    from .models import ModelsScreen

    return ModelsScreen()
