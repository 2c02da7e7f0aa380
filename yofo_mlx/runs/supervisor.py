"""Start a trainer again after it died, in smaller pieces if that was why."""

import time
from typing import Any, Final

from yofo_mlx.errors import ExitCode
from yofo_mlx.runs import launch, lock
from yofo_mlx.runs.diagnosis import CAUSES, DISK, KILLED, MEMORY, SHORT, WATCHDOG, explain
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.signals import forwarding, hang_up_ignored
from yofo_mlx.system.talk import say

SURVIVED: Final = frozenset({cause.name for cause in CAUSES} | {KILLED})
PAUSE_S: Final = 2
PAUSE_ROOM_S: Final = 60  # somebody has to make room, on the disk or in memory
FIRST_CHUNK: Final = 1024  # where whole episodes were too much
LEAST_CHUNK: Final = 32
LESS: Final = 0.8  # of the memory that a step was expected to need


def supervise(run: Run, held: int, restarts: int, *, force: bool = False) -> int:
    """Train in a child process, and again as often as it dies; return the last exit code."""
    kills = 0
    with lock.locked(run.path, held) as descriptor:
        for left in range(restarts, -1, -1):
            process = launch.spawn(run, descriptor, force=force)
            lock.sign(run.path, descriptor, process.pid)
            with forwarding(process), hang_up_ignored():  # it outlives the terminal
                code = process.wait()
            lock.sign(run.path, descriptor)
            death = explain(run)
            ended = code in (ExitCode.OK, ExitCode.INTERRUPTED) or run.stop_path.exists()
            if ended or death is None or death.cause not in SURVIVED or not left:
                break
            say(f"{death.message}; it is started again ({left} times left)")
            kills = kills + 1 if death.cause == KILLED else 0
            if kills > 1:  # the system kills without a word what takes too much memory
                _shrink(run, MEMORY)
            _pause(run, PAUSE_ROOM_S if death.cause in (DISK, SHORT) else PAUSE_S)
            if run.stop_path.exists():
                break
    return code if code >= 0 else int(ExitCode.FAILED)


def shrink(run: Run) -> tuple[str, str] | None:
    """Have a run that died of too large a piece go on with smaller ones; return a warning of it."""
    death = explain(run)
    if death is None or death.cause not in (MEMORY, WATCHDOG):
        return None
    chunk = _shrink(run, death.cause)
    if chunk is None:
        return None
    message = f"{death.message}: the run goes on in chunks of at most {chunk} tokens"
    return message, "its gradients are the same but for rounding"


def _shrink(run: Run, cause: str) -> int | None:
    """Lower the chunk that run.json allows, after an out-of-memory the memory too."""
    if (plan := run.info().plan) is None:
        return None
    chunk = max(plan.chunk // 2, LEAST_CHUNK) if plan.chunk else FIRST_CHUNK
    change: dict[str, Any] = {"largest_chunk": chunk}
    if cause == MEMORY:
        change["limit_gb"] = round(plan.model_gb + LESS * plan.step_gb, 4)
    run.note(**change)
    return chunk


def _pause(run: Run, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not run.stop_path.exists():
        time.sleep(min(1.0, seconds))
