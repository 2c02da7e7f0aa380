"""What a call of a session tells on its way, and where it stops."""

import time
from typing import Any, Protocol


class Work(Protocol):
    """The call that is being answered."""

    def check(self) -> None:
        """Raise Cancelled if the caller has given it up."""

    def note(self, method: str, **params: Any) -> None:
        """Send a notification about it."""


class ReadingReport:
    """Reports how far demonstrations are read, and how long the rest takes; satisfies OnChunk."""

    def __init__(self, done: int, total: int, work: Work) -> None:
        """`done` of `total` tokens are read already."""
        self._done, self._total, self._work, self._at = done, total, work, 0.0

    def __call__(self, done: int) -> None:
        """Report, and stop where the caller wants it."""
        self._work.check()
        if done == self._done:
            return
        now = time.perf_counter()
        told: dict[str, float] = {"done": done, "total": self._total}
        if self._at:  # the first piece is no measure: the machine wakes up
            told["seconds_left"] = (self._total - done) * (now - self._at) / (done - self._done)
        self._done, self._at = done, now
        self._work.note("progress", **told)


class OneOfSeveral:
    """A call of which one of those side by side does its part; satisfies Work."""

    def __init__(self, work: Work, subject: str) -> None:
        self._work, self._subject = work, subject
        self.check = work.check

    def note(self, method: str, **params: Any) -> None:
        """Send a notification that says whose it is."""
        self._work.note(method, **params, subject=self._subject)
