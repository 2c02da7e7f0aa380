"""What a trainer tells in the events of its run beside its steps: that it loads, why it failed."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any, NoReturn

from yofo_mlx.errors import RunError, YofoError
from yofo_mlx.runs.diagnosis import find_cause
from yofo_mlx.runs.events import EventWriter
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.kinds import FailedEvent, Kind, LoadingEvent, ProgressEvent, StoppedEvent
from yofo_mlx.system.files import disk_error
from yofo_mlx.system.progress import Bytes, Seldom, listening
from yofo_mlx.training.checkpoints import list_checkpoints
from yofo_mlx.training.trainer import NotFinite


@contextmanager
def failures(run: Run) -> Iterator[None]:
    """Tell why what is done before the training ended, if it did not end well."""
    try:
        yield
    except BaseException as error:
        step = next((int(path.name) for path in list_checkpoints(run)), 0)
        tell = partial(_tell, run)  # opened late: who touches the stream hears signals
        if not isinstance(error, KeyboardInterrupt):
            fail(run, error, step, tell)
        with suppress(OSError):
            tell(StoppedEvent(step=step, reason="interrupted while loading"))
        raise


def _tell(run: Run, told: Kind) -> None:
    with closing(EventWriter(run.events_path)) as writer:
        writer.write(told)


@contextmanager
def loading(run: Run) -> Iterator[None]:
    """Tell that a run loads, how much it has read, and why that ended if it did not end well."""
    with failures(run), closing(EventWriter(run.events_path)) as writer:
        writer.write(LoadingEvent(process=os.getpid()))
        with listening(Seldom(partial(tell_reading, writer))):
            yield


def tell_reading(writer: EventWriter, what: str, done: int, total: int) -> None:
    """Tell how much is read, or downloaded."""
    if isinstance(total, Bytes):
        what, done, total = f"MB, {what}", done // 10**6, total // 10**6
    writer.write(ProgressEvent(step=0, done=done, total=total, phase=what))


def fail(run: Run, error: BaseException, step: int, tell: Callable[[Kind], Any]) -> NoReturn:
    """Tell an error as the run's last event, and raise it; in words, but for a defect."""
    known = _known(error, run)
    message = getattr(known, "message", "") or f"{type(known).__name__}: {known}"
    cause = find_cause(message)
    failed = FailedEvent(
        step=step,
        message=message,
        hint=getattr(known, "hint", ""),
        cause=cause.name if cause else None,
    )
    with suppress(OSError, ValueError):  # what is raised says more
        tell(failed)
    if known is error:
        raise error
    raise known from error


def _known(error: BaseException, run: Run) -> BaseException:
    """Return what is not a defect as an error in words."""
    if isinstance(error, NotFinite):
        checkpoints = list_checkpoints(run)
        last = f"the last good one is {checkpoints[0]}" if checkpoints else "there is no checkpoint"
        return RunError(error.message, f"{error.hint}; {last}")
    if isinstance(error, YofoError):
        return error
    if isinstance(error, OSError):
        return disk_error(error, run.path)
    cause = find_cause(f"{type(error).__name__}: {error}")
    return RunError(f"{cause.words}: {error}", cause.hint) if cause else error
