"""The thread of the model: who is answered next, alone or side by side, and who has to wait.

A request that is alone is answered as a session does. When more come, it goes on beside them: each
answer is a row behind what all share, and one that comes later joins the rows that are there.
"""

import queue
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from yofo_mlx.errors import Cancelled
from yofo_mlx.prompting.questions import OWN, by_length
from yofo_mlx.prompting.session import out_of_memory
from yofo_mlx.serving import writing
from yofo_mlx.serving.jobs import Choosing, Job, Writing
from yofo_mlx.serving.models import Served
from yofo_mlx.serving.refusals import busy, closing, defect, no_room, refusal_of
from yofo_mlx.serving.writing import Steps, Together

_IDLE_S = 0.5  # a signal that another thread takes wakes nobody: Ctrl-C is heard when this is over
_CHEAP = 1024  # tokens that may be read once more, so that others need not wait


@dataclass(eq=False)
class _Work:
    """Jobs that take their steps together."""

    served: Served
    jobs: list[Job]
    steps: Steps
    is_alone: bool = False
    together: Together | None = None

    def take(self, jobs: Sequence[Writing]) -> bool:
        """Let others be answered with these, where that can be."""
        if self.together is None or not self.together.take(jobs):
            return False
        self.jobs += jobs
        return True

    @property
    def gives_way(self) -> bool:
        """Tell whether an answer that is written alone may go on beside others."""
        job = self.jobs[0]
        if not isinstance(job, Writing) or job.companions is None:
            return False
        return len(job.ahead) <= _CHEAP


class Engine:
    """Answers jobs in the thread that calls `run`; all else may be called from any thread."""

    def __init__(self, *, at_once: int, most_waiting: int) -> None:
        """`at_once`: answers that are written side by side; `most_waiting`: those that wait."""
        self._at_once, self._most = at_once, at_once + most_waiting
        self._arrivals: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open = 0
        self._is_closing = self._is_given_up = False  # set by a signal's handler, too
        self._waiting: list[Job] = []
        self._running: list[_Work] = []

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn; refuse one where too many wait already."""
        with self._lock:
            if self._is_closing:
                raise closing()
            if self._open >= self._most:
                raise busy(f"{self._open} requests are being answered or wait: try again")
            self._open += 1
        self._arrivals.put(job)

    def close(self) -> None:
        """Refuse what comes from now on; `run` ends once all is answered."""
        self._is_closing = True
        self._arrivals.put(None)

    def give_up(self) -> None:
        """Let `run` end at its next step."""
        self._is_given_up = True
        self.close()

    def run(self) -> None:
        """Answer until `close`."""
        while not self._is_given_up:
            self._gather()
            if not (self._waiting or self._running):
                if self._is_closing and not self._open:
                    return
                continue
            self._start()
            for work in list(self._running):
                self._advance(work)
        for work in self._running:
            work.steps.close()
        self._gather()
        for job in [*self._waiting, *(job for work in self._running for job in work.jobs)]:
            job.fail(closing())

    def _gather(self) -> None:
        """Take what has come, and wait for it where there is nothing to do; forget who left."""
        is_idle = not (self._waiting or self._running or self._is_closing)
        while True:
            try:
                job = self._arrivals.get(block=is_idle, timeout=_IDLE_S)
            except queue.Empty:
                break
            is_idle = False
            if job is not None and self._is_ready(job):
                self._waiting.append(job)
        for job in [job for job in self._waiting if job.is_left]:
            self._waiting.remove(job)
            self._forget(job)

    def _is_ready(self, job: Job) -> bool:
        """Make tokens of what a job asks, unless it cannot be asked."""
        if not isinstance(job, Writing):
            return True
        try:
            job.begin()
            return True
        except Exception as error:
            self._fail([job], error)
            self._forget(job)
            return False

    def _start(self) -> None:
        """Let those that wait begin, as far as there is room, the first ones first."""
        if any(work.is_alone for work in self._running):
            if not self._waiting or not self._running[0].gives_way:
                return
            [alone] = self._running
            alone.steps.close()
            self._running.clear()
            self._waiting[:0] = alone.jobs
        elif len(self._waiting) == 1 and not self._running:
            job = self._waiting.pop()
            self._running.append(_alone(job) if isinstance(job, Writing) else _choosing(job))
            return
        while self._waiting and (room := self._room):
            first = self._waiting[0]
            if not isinstance(first, Writing):
                self._running.append(_choosing(self._waiting.pop(0)))
            elif first.companions is None:
                if not self._running:  # it uses the context itself
                    del self._waiting[0]
                    self._running.append(_alone(first))
                return
            else:
                self._run_together(first, room)

    @property
    def _room(self) -> int:
        return self._at_once - sum(len(work.jobs) for work in self._running)

    def _run_together(self, first: Writing, room: int) -> None:
        """Begin with those that can stand beside the first one, those of like lengths together."""
        beside = [
            job for job in self._waiting if isinstance(job, Writing) and job.is_beside(first)
        ][:room]
        for job in beside:
            self._waiting.remove(job)
        for jobs in _groups(beside):
            if not any(work.take(jobs) for work in self._running):
                self._running.append(_together(jobs))

    def _advance(self, work: _Work) -> None:
        """Let some jobs take a step; those that are answered, or left, are forgotten."""
        try:
            work.served.take_turn()
            next(work.steps)
        except (StopIteration, Cancelled):
            self._running.remove(work)
        except Exception as error:
            self._running.remove(work)
            self._fail([job for job in work.jobs if not job.is_over], error)
        for job in [job for job in work.jobs if job.is_over or job.is_left]:
            work.jobs.remove(job)
            self._forget(job)

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        refusal = refusal_of(error)
        if refusal is None and (full := out_of_memory(error)):
            refusal = no_room(full.message)
        if refusal is None:
            traceback.print_exception(error)
            refusal = defect()
        for job in jobs:
            job.fail(refusal)

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._open -= 1


def _groups(jobs: Sequence[Writing]) -> list[list[Writing]]:
    """Put jobs of like lengths together, as many as have room with what they have to be read."""
    groups: list[list[Writing]] = []
    for place in by_length([job.ahead for job in jobs]):
        job = jobs[place]
        if not groups or (len(groups[-1]) + 1) * len(job.ahead) > OWN:
            groups.append([])
        groups[-1].append(job)
    return groups


def _alone(job: Writing) -> _Work:
    return _Work(job.served, [job], writing.write_alone(job), is_alone=True)


def _together(jobs: Sequence[Writing]) -> _Work:
    together = Together(jobs)
    return _Work(jobs[0].served, [*jobs], together.steps, together=together)


def _choosing(job: Job) -> _Work:
    assert isinstance(job, Choosing)
    return _Work(job.served, [job], writing.choose(job))
