"""Asking a run in this process to end: a signal, or the `stop` file in its folder."""

from collections.abc import Iterator
from contextlib import contextmanager

from yofo_mlx.runs.folder import Run
from yofo_mlx.system.signals import answered
from yofo_mlx.system.talk import say_now

STOPPING = "\nfinishing this step and saving; once more to leave it as soon as possible"
LEAVING = "\nleaving this step, and saving what was before it"


class StopRequest:
    """Ctrl-C, SIGTERM or the run's `stop` file: finish the step, save, exit.

    Twice, or with `now` in that file: leave the step.

    While a model is loaded there is nothing to save: then a signal ends that at once.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._signals = 0
        self._at_once = False

    def of(self, run: Run) -> None:
        """Look at the `stop` file of a run as well."""
        self._run = run

    def is_requested(self) -> bool:
        """Tell whether anybody asked."""
        return self._signals > 0 or (self._run is not None and self._run.stop_path.exists())

    def is_urgent(self) -> bool:
        """Tell whether somebody asked twice, or for the end at once."""
        return self._signals > 1 or (self._run is not None and self._run.must_leave())

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal interrupt what is done meanwhile."""
        self._at_once = True
        try:
            if self._signals or self.is_urgent():
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def handle(self, number: int, frame: object) -> None:
        """Take a signal."""
        if self._at_once:
            raise KeyboardInterrupt
        self._signals += 1
        if self._signals == 1:
            say_now(LEAVING if self.is_urgent() else STOPPING)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take the signals that ask a run to stop."""
    request = StopRequest()
    with answered(request.handle):
        yield request
