"""`yofo study`: the paper's comparison on a recipe, made arm by arm, and its report."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yofo_mlx.commands.study_display import study_display
from yofo_mlx.commands.study_plan import planned, tell_hours
from yofo_mlx.commands.study_report import show
from yofo_mlx.errors import ExitCode, RunError
from yofo_mlx.queueing import studies
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs import lock, notify
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.study.making import Making
from yofo_mlx.study.page import write_report
from yofo_mlx.study.plan import as_asked
from yofo_mlx.study.results import StudyFolder
from yofo_mlx.system import blas, paths
from yofo_mlx.system.environment import on_cpu
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.signals import answered
from yofo_mlx.system.talk import say, say_again

ONE_THREAD = ("OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def study(
    request: RecipeRequest,
    *,
    arms: Sequence[str] = (),
    tokens: int | None = None,
    queries: int | None = None,
    shots: Sequence[int] = (),
    seeds: int | None = None,
    apart: bool = False,
    jobs: int | None = None,
    out: Path | None = None,
    as_json: bool = False,
) -> ExitCode:
    """Make what a study lacks, and write its report."""
    recipe = as_asked(request.load(), tokens=tokens, queries=queries, shots=shots, seeds=seeds)
    plan = planned(request, recipe, arms, apart=apart)
    folder = StudyFolder((out or paths.studies() / request.run_name).absolute())
    folder.begin(plan.identity(_fingerprint(recipe)), plan.shown)
    tell_hours(plan, folder.results())
    # A CPU computes each on one core; a GPU is busy with one.
    jobs = jobs or (min(2, os.cpu_count() or 1) if on_cpu() else 1)
    if jobs > 1:
        os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
        blas.fix_threads(1)
    making, began = Making(plan, folder), time.monotonic()
    with _alone(folder):
        _make(making, jobs)
        studies.tell(folder.path, **_state(making))
    _notify(making, time.monotonic() - began)
    return _end(making, as_json)


def _fingerprint(recipe: Recipe) -> str:
    from yofo_mlx.models.base import model_path
    from yofo_mlx.prompting.fingerprint import model_fingerprint

    return model_fingerprint(model_path(recipe.model, recipe.revision))


@contextmanager
def _alone(folder: StudyFolder) -> Iterator[None]:
    """Let nobody else make the same study meanwhile."""
    pid = lock.holder(folder.path)
    if pid is not None:
        raise RunError(
            f"the study in {folder.path} is being made by process {pid}",
            "wait until it ends, or choose another folder: --out DIR",
        )
    with lock.locked(folder.path):
        yield


def _make(making: Making, jobs: int) -> None:
    """Make what is left, show how far it is; Ctrl-C keeps everything, twice at once."""

    def ask(number: int, frame: object) -> None:
        threading.Thread(target=making.crew.stop).start()  # a handler must wait for no lock

    told: dict[str, float | None] = {}

    def on_tick(making: Making) -> None:
        show_all(making)
        left = making.seconds_left or None  # 0: nothing waits, which is not that nothing is left
        now = {"share": round(making.share, 3), "seconds_left": left}
        if now != told:
            told.update(now)
            studies.tell(making.folder.path, **now)

    with answered(ask), study_display(sys.stderr) as show_all:
        making.run(jobs, on_tick)


def _state(making: Making) -> dict[str, Any]:
    """Return how a study ended, as the queue is told."""
    if making.crew.is_stopping:
        return {"state": "stopped", "share": making.share}
    if making.failed:
        name, error = next(iter(making.failed.items()))
        more = f", and {len(making.failed) - 1} more" if len(making.failed) > 1 else ""
        message = f"{name} failed{more}: {error.message}"
        return {"state": "failed", "share": making.share, "message": message, "hint": error.hint}
    return {"state": "finished", "share": 1.0}


def _notify(making: Making, seconds: float) -> None:
    """Tell as at the end of a run; its steps are what was measured."""
    folder, state = making.folder, _state(making)
    told = {"run": f"study-{folder.path.name}", "path": str(folder.path), "status": state["state"]}
    told |= {"step": len(folder.results()), "message": state.get("message", "")}
    notify.call(told)
    notify.ring(notify.words(told), seconds)


def _end(making: Making, as_json: bool) -> ExitCode:
    """Write the report of what there is, and say what is missing."""
    folder, failed = making.folder, making.failed
    for name, error in failed.items():
        say(f"{name} failed: {error.message}" + (f"\n  {error.hint}" if error.hint else ""))
    notes = [f"{name} failed: {error.message}" for name, error in failed.items()]
    left = making.left()
    if left:
        notes.append(f"{plural(len(left), 'adapter')} not made yet: the study goes on")
    if folder.results():
        show(write_report(folder, notes), as_json=as_json)
    if making.crew.is_stopping:
        say("stopped: what was measured is kept, and trainings go on from their checkpoints")
        say_again()
        return ExitCode.INTERRUPTED
    if failed:
        say_again()
        return ExitCode.FAILED
    return ExitCode.OK
