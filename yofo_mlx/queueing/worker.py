"""The process that works the queue off; it loads no model, and outlives whoever started it.

Runs and studies are processes of their own, as `yofo train --detach` starts them: if this one is
killed, they go on, and the next one waits for them.
"""

import subprocess
import threading
import time
from collections.abc import Collection
from contextlib import ExitStack

from yofo_mlx.errors import YofoError
from yofo_mlx.queueing import book
from yofo_mlx.queueing.book import MOST_STARTS, Book, Entry, Job
from yofo_mlx.queueing.studies import QueuedStudy
from yofo_mlx.runs import listing, lock, notify
from yofo_mlx.runs.crew import Crew
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import child
from yofo_mlx.system.signals import hang_up_ignored
from yofo_mlx.system.talk import say

POLL_S = 1.0


def ensure() -> None:
    """Start the worker, unless one is there or nothing waits."""
    with book.changing() as queue:
        if queue.paused or not queue.waiting() or book.worker() is not None:
            return
        place = book.folder()
        with lock.locked(place) as held, (place / "console.log").open("ab") as console:
            process = subprocess.Popen(
                child.command("yofo_mlx.cli", "queue", "work", "--lock", str(held)),
                env=child.environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=[held],
                start_new_session=True,
            )
            lock.sign(place, held, process.pid)


def work(held: int | None, crew: Crew | None = None) -> None:
    """Train what waits, as many at a time as are allowed and fit, until nothing does.

    `held`: descriptor of the queue's lock, where whoever started this holds it.
    """
    with ExitStack() as ours:
        ours.enter_context(hang_up_ignored())
        ours.enter_context(lock.locked(book.folder(), held))
        Worker(crew or Crew()).run(ours)


class Worker:
    """Trains entries, a thread each."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._at_work: dict[tuple[int, float], threading.Thread] = {}

    def run(self, ours: ExitStack) -> None:
        """Begin what may be begun, wait; let go of the lock in the moment when nothing is left."""
        while True:
            with book.changing() as queue:
                self._begin(queue)
                if not self._at_work:
                    ours.close()  # before somebody can queue a run and trust in us
                    return
            time.sleep(POLL_S)
            self._at_work = {key: one for key, one in self._at_work.items() if one.is_alive()}

    def _begin(self, queue: Book) -> None:
        for entry, job in queue.waiting():
            if entry.origin in self._at_work:
                continue
            if not job.is_locked():  # else somebody trains it, and is waited for
                if queue.paused or not has_room(queue, entry, set(self._at_work)):
                    return  # those behind it wait for their turn
                if entry.starts >= MOST_STARTS:
                    _give_up(entry, job)
                    continue
                entry.starts += 1
            self._at_work[entry.origin] = thread = threading.Thread(
                target=self._train, args=(entry.model_copy(), job), daemon=True
            )
            thread.start()

    def _train(self, entry: Entry, job: Job) -> None:
        say(f"{job.run_id} begins")
        message = hint = ""
        try:
            if isinstance(job, QueuedStudy):
                job.make()
            else:
                self._crew.train(
                    job, lambda event: None, force=entry.force, restarts=entry.restarts
                )
        except YofoError as error:
            message, hint = error.message, error.hint
        except Exception as error:  # one of them must not stop the rest
            message = f"{type(error).__name__}: {error}"
        status = job.status()
        if status == "died" and isinstance(job, Run):  # who dies tells nobody
            notify.at_end(job)
        with book.changing() as queue:
            if (ours := queue.entry_of(job)) is None:  # dropped, or removed
                return
            if status == "stopped" and ours.held:  # it goes on with the queue
                ours.held, ours.starts = False, 0
            else:
                outcome = "failed" if message and status == "created" else status
                ours.outcome, ours.message, ours.hint = outcome, message, hint
        say(f"{job.run_id} {status}" + (f": {message}" if message else ""))


def _give_up(entry: Entry, job: Job) -> None:
    entry.outcome = "died"
    entry.message = f"it was begun {entry.starts} times, and everything ended with it"
    if isinstance(job, Run):
        entry.hint = f"`yofo resume {listing.word(job)}` shows why"


def has_room(queue: Book, entry: Entry, ours: Collection[tuple[int, float]]) -> bool:
    """Tell whether a run may be trained beside those that are: by number, and by their needs.

    A study, whose needs nobody knows, has the machine for itself.
    `ours`: origins of runs that were begun, and may not hold their lock yet.
    """
    runs = listing.list_runs()
    beside = [run for run in runs if run.is_locked() or listing.origin(run) in ours]
    studies = [
        job
        for one, job in queue.placed()
        if isinstance(job, QueuedStudy) and (job.is_locked() or one.origin in ours)
    ]
    if not (beside or studies):
        return True
    if studies or entry.study or len(beside) >= queue.at_once:
        return False
    needs = [entry.needed_gb, *(_needed_gb(queue, run) for run in beside)]
    known = [need for need in needs if need is not None]
    return len(known) == len(needs) and sum(known) <= (entry.limit_gb or 0.0)


def _needed_gb(queue: Book, run: Run) -> float | None:
    """Return what a run takes by its forecast, also one that was started by hand."""
    if entry := queue.entry_of(run):
        return entry.needed_gb
    plan = run.info().plan
    return plan.model_gb + plan.step_gb if plan else None
