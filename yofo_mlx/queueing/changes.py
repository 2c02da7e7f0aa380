"""What can be done with the queue, for whoever shows it; entries are named by their origins."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from yofo_mlx.errors import RecipeError
from yofo_mlx.queueing import book, worker
from yofo_mlx.queueing.book import Entry, Job
from yofo_mlx.queueing.studies import QueuedStudy
from yofo_mlx.runs import trash
from yofo_mlx.runs.events import backwards, figure
from yofo_mlx.runs.folder import GOING_ON, Run
from yofo_mlx.runs.trash import Removed

Origins = Collection[tuple[int, float]]


@dataclass(frozen=True)
class Standing:
    """An entry as it stands."""

    entry: Entry
    job: Job | None
    state: str
    share: float | None = None
    seconds_left: float | None = None

    @property
    def run(self) -> Run | None:
        """Return its run, which a study has not."""
        return self.job if isinstance(self.job, Run) else None

    @property
    def name(self) -> str:
        """Return what it is called by now."""
        return self.job.run_id if self.job else self.entry.name


@dataclass(frozen=True)
class Dropped:
    """What was taken off the queue: enough to bring it back."""

    entries: Sequence[tuple[int, Entry]]  # and where they were
    removed: Sequence[Removed]  # runs that were never begun


def standing(entry: Entry, job: Job | None) -> Standing:
    """Return how an entry stands."""
    state, told = book.state(entry, job), None
    if isinstance(job, QueuedStudy):
        told = job.progress() if state != "waiting" else None
    elif job is not None:
        told = next(backwards(job.events_path, ("step",)), None)
    left = figure(told, "seconds_left") if state in GOING_ON else None
    return Standing(entry, job, state, figure(told, "share"), left)


def drop(chosen: Origins) -> Dropped:
    """Take entries off the queue, and runs that were never begun to the trash."""
    with book.changing() as queue:
        placed = queue.placed()
        gone = [(at, one) for at, (one, _) in enumerate(placed) if one.origin in chosen]
        queue.entries = [one for one in queue.entries if one.origin not in chosen]
    jobs = [job for one, job in placed if job and one.origin in chosen]
    removed = [
        trash.remove(job) for job in jobs if isinstance(job, Run) and job.status() == "created"
    ]
    for job in jobs:
        if isinstance(job, QueuedStudy) and not job.is_locked():
            job.forget()
    return Dropped(gone, removed)


def bring_back(dropped: Dropped) -> None:
    """Undo a drop: runs come from the trash, entries to where they were."""
    for removed in dropped.removed:
        trash.restore(removed)
    with book.changing() as queue:
        there = {one.origin for one in queue.entries}
        for at, entry in dropped.entries:
            if entry.origin not in there:
                queue.entries.insert(at, entry)
    worker.ensure()


def retry(chosen: Origins) -> None:
    """Let runs wait again."""
    with book.changing() as queue:
        for entry in queue.entries:
            if entry.origin not in chosen:
                continue
            if entry.outcome in (None, "finished"):
                words = "has finished" if entry.outcome else "waits already, or is being trained"
                raise RecipeError(f"{entry.name} {words}", "`yofo queue list`")
            entry.outcome, entry.message, entry.hint, entry.starts = None, "", "", 0
    worker.ensure()


def put_first(chosen: Origins) -> None:
    """Put entries before the others."""
    with book.changing() as queue:
        before = [one for one in queue.entries if one.origin in chosen]
        queue.entries = [*before, *(one for one in queue.entries if one.origin not in chosen)]


def pause(*, now: bool) -> list[Job]:
    """Begin no further run; return those that are being trained, with `now` asked to stop."""
    with book.changing() as queue:
        queue.paused = True
        going = []
        for entry, run in queue.waiting():
            if run.is_locked():
                going.append(run)
                entry.held = now
    for run in going if now else []:
        run.request_stop()
    return going


def start(at_once: int | None = None) -> None:
    """Go on with the queue, with so many runs at a time."""
    with book.changing() as queue:
        queue.paused = False
        queue.at_once = at_once or queue.at_once
    worker.ensure()


def allow(at_once: int) -> None:
    """Let so many runs be trained at a time, be the queue paused or not."""
    with book.changing() as queue:
        queue.at_once = at_once


def as_dict(one: Standing) -> dict[str, Any]:
    """Return what programs are told of an entry."""
    entry = one.entry
    return {
        "run_id": one.name,
        "path": str(one.job.path) if one.job else None,
        "is_study": entry.study is not None,
        "state": one.state,
        "share": one.share,
        "seconds_left": one.seconds_left,
        "values": entry.values,
        "needed_gb": entry.needed_gb,
        "message": entry.message,
        "hint": entry.hint,
    }
