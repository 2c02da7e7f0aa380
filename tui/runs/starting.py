"""Runs started and gone on with by the app: through the command line, outliving both."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from yofo_mlx.errors import RunError
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.names import undated
from yofo_mlx.system import child, paths
from yofo_mlx.system.text import shorten

from ..shared import verb

LOOK_S = 0.1  # between looks at whether an evaluation has ended


class Starter(Protocol):
    """Starts a run of a recipe with changes, under a name of its own if one is given."""

    def __call__(self, recipe: Path, changes: list[str], name: str = "") -> Run:
        """Return the run once its folder exists; YofoError if there is none."""


def resume_detached(run: Run) -> None:
    """Go on with a run from its last checkpoint, outliving the app."""
    from yofo_mlx.runs import launch

    launch.detach(run)


def evaluate_detached(run: Run, is_left: Callable[[], bool]) -> str | None:
    """Measure a run in a process that outlives the app; return why it was not, once it has ended.

    None once nobody waits for it: quitting must not last as long as the evaluation. What it prints
    is in `evaluations/eval.log` of the run.
    """
    run.evaluations_path.mkdir(exist_ok=True)
    path = run.evaluations_path / "eval.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            child.command("yofo_mlx.cli", "eval", str(run.path)),
            env=child.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while process.poll() is None:
        if is_left():
            return None
        time.sleep(LOOK_S)
    if process.returncode == 0:
        return ""
    said = path.read_text(encoding="utf-8", errors="replace").strip()
    message, hint = verb.wrong(said)
    words = f"{message}\n{hint}".strip() or said
    return shorten(words, 400) or f"it ended with {process.returncode}"


def start_detached(recipe: Path, changes: list[str], name: str = "") -> Run:
    """Start a run that outlives the app; the command line checks all that it checks for anybody.

    Without a name, a recipe that is a run's own starts a run of its name.
    """
    options = [f"--set={change}" for change in changes]
    if not name and recipe.parent.parent == paths.runs():
        name = undated(recipe.parent.name)
    options += [f"--name={name}"] if name else []
    try:
        printed = verb.call("train", str(recipe), "--detach", *options)
    except RunError as error:
        message = error.message.removeprefix(f"{recipe}: ").removeprefix("--set: ")
        raise RunError(_a_line_each(message), error.hint) from None
    return Run(Path(printed.rstrip("\n")))


def _a_line_each(message: str) -> str:
    """Put the mistakes of a recipe below each other."""
    count, several, mistakes = message.partition(" mistakes: ")
    if not (several and count.isdecimal()):
        return message
    return "\n".join([f"{count} mistakes:", *mistakes.split("; ")])
