"""What is queued: `$YOFO_HOME/queue/queue.json`, written whole, changed by one process at a time.

An entry is a run folder that was created and waits, or a study. A run is known by what run.json
says of its making, which no renaming changes; a study by when it was queued.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from yofo_mlx.errors import RunError
from yofo_mlx.queueing.studies import QueuedStudy, StudyRequest
from yofo_mlx.runs import listing, lock
from yofo_mlx.runs.folder import GOING_ON, Run
from yofo_mlx.system import paths
from yofo_mlx.system.files import disk_error, write_text

FORMAT = 1
FILE = "queue.json"
STUDIES = "studies"
MOST_STARTS = 5  # of a run with which everything ended, without a word
Job = Run | QueuedStudy


class _Kept(BaseModel):
    """A table of queue.json; what another version added stays in it."""

    model_config = ConfigDict(extra="allow")


class Entry(_Kept):
    """A run or a study that waits, is trained or was."""

    number: int  # the run's own; 0 of a study
    created: float
    name: str  # when it was queued
    values: dict[str, str] = {}  # of the keys that a grid varies
    needed_gb: float | None = None  # by the forecast; None where there is none
    limit_gb: float | None = None
    force: bool = False
    restarts: int = 0
    starts: int = 0  # since it was last stopped in order
    held: bool = False  # stopped by a pause of the queue, and not by name
    study: StudyRequest | None = None
    outcome: str | None = None  # how its training ended
    message: str = ""
    hint: str = ""

    @property
    def origin(self) -> tuple[int, float]:
        """What `listing` knows its run by."""
        return self.number, self.created


class Book(_Kept):
    """The queue: entries in their order, and how it is worked off."""

    format: int = FORMAT
    paused: bool = False
    at_once: int = 1
    entries: list[Entry] = []

    def waiting(self) -> list[tuple[Entry, Job]]:
        """Return the entries that are to be trained, or are being trained, and are there."""
        return [(one, job) for one, job in self.placed() if job and one.outcome is None]

    def placed(self) -> list[tuple[Entry, Job | None]]:
        """Return each entry with its run or study, None where that is in the trash or gone."""
        jobs: dict[tuple[int, float], Job] = {listing.origin(x): x for x in listing.list_runs()}
        for one in self.entries:
            if one.study is not None:
                place = folder() / STUDIES / f"{one.created:.6f}"
                jobs[one.origin] = QueuedStudy(one.study, place)
        return [(one, jobs.get(one.origin)) for one in self.entries]

    def entry_of(self, job: Job) -> Entry | None:
        """Return the entry of a run or study."""
        if isinstance(job, QueuedStudy):
            return next((one for one in self.entries if one.study == job.request), None)
        there = listing.origin(job)
        return next((one for one in self.entries if one.origin == there), None)


def state(entry: Entry, job: Job | None) -> str:
    """Return how an entry stands: waiting, removed, or in the words for runs."""
    if job is None:
        return entry.outcome or "removed"
    status = job.status()
    return status if status in GOING_ON else entry.outcome or "waiting"


def folder() -> Path:
    """Return the queue's folder."""
    return paths.home() / "queue"


def worker() -> int | None:
    """Return the process that works the queue off, None if none does."""
    return lock.holder(folder())


def read() -> Book:
    """Return the queue as it is; it is empty where there is none."""
    path = folder() / FILE
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Book()
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read", "move it away: the runs are all there") from error
    try:
        return Book.model_validate(json.loads(text))
    except (ValidationError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged", "move it away: the runs are all there") from error


@contextmanager
def changing() -> Iterator[Book]:
    """Yield the queue to be changed; it is written when the block ends well."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with listing.one_at_a_time(place):
            book = read()
            if book.format > FORMAT:
                raise RunError("the queue is of a newer yofo", "update yofo")
            before = book.model_copy(deep=True)
            yield book
            if book != before:
                write_text(place / FILE, json.dumps(book.model_dump(), indent=2) + "\n")
    except OSError as error:
        raise disk_error(error, place, "the same command") from error
