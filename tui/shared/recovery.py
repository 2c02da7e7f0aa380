"""What becomes of a screen whose thread failed in a way that nobody expected."""

from typing import Any

from textual.screen import Screen
from textual.worker import Worker, WorkerState

from yofo_mlx.system.text import reason

from .words import safe


class Recovering(Screen[Any]):
    """A screen that tells once what went wrong in a thread, and goes on."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Tell of a failure, the first time."""
        worker = event.worker
        if event.state is not WorkerState.ERROR or worker.error is None:
            return
        words = f"{type(worker.error).__name__}: {reason(worker.error)}"
        if (worker.group, words) not in self._told:
            self._told.add((worker.group, words))
            title = f"Failed: {worker.group}"
            self.notify(safe(words).plain, title=title, severity="error", markup=False)
        self.recover(worker.group, words)

    def __init__(self) -> None:
        super().__init__()
        self._told: set[tuple[str, str]] = set()

    def is_at_work(self, group: str) -> bool:
        """Tell whether a thread of this group goes on."""
        return any(not one.is_finished for one in self.workers if one.group == group)

    def recover(self, group: str, words: str) -> None:
        """Be ready again for what the failed thread was to do."""
