"""Start a run in a process of its own that outlives whoever started it."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from yofo_mlx.recipe.file import to_toml
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs import listing, lock
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.init_adapter import provenance
from yofo_mlx.system import child
from yofo_mlx.system.files import disk_error, sync_folder, write_text


def create_run(recipe: Recipe, name: str) -> Run:
    """Create a run folder with the recipe as resolved."""
    run = listing.create(name)
    _fill(run, recipe)
    return run


def create_at(path: Path, recipe: Recipe) -> Run:
    """Create a run folder at a place of its own, where `yofo runs` does not list it."""
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise disk_error(error, path.parent, "the same command") from error
    run = Run(path)
    _fill(run, recipe, created=time.time(), command=sys.argv[1:])
    return run


def _fill(run: Run, recipe: Recipe, **more: Any) -> None:
    """Write what a new run begins with, or remove its folder."""
    try:
        write_text(run.recipe_path, to_toml(recipe))
        run.note(recipe=recipe.model_dump(mode="json"), **provenance(recipe), **more)
        sync_folder(run.path.parent)
    except BaseException as error:
        shutil.rmtree(run.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise disk_error(error, run.path.parent) from error
        raise


def start(recipe: Recipe, name: str, *, force: bool = False, restarts: int = 0) -> Run:
    """Create a run of a recipe and train it detached."""
    run = create_run(recipe, name)
    detach(run, force=force, restarts=restarts)
    return run


def detach(run: Run, *, force: bool = False, restarts: int = 0) -> int:
    """Train (or go on with) a run in the background; return the process id.

    `force`: also if the forecast says that it will not fit. `restarts`: how often it is started
    again after it died.
    """
    # The child inherits the lock: from its birth on, nobody else can take the run.
    run.check_format()
    with lock.locked(run.path) as held:
        run.stop_path.unlink(missing_ok=True)
        process = spawn(run, held, force=force, restarts=restarts)
        lock.sign(run.path, held, process.pid)
    return process.pid


def spawn(
    run: Run, held: int, *, force: bool = False, restarts: int = 0
) -> "subprocess.Popen[bytes]":
    """Start a trainer, or with `restarts` its supervisor, on a run whose lock is held."""
    options = ["--force"] if force else []
    options += ["--restarts", str(restarts)] if restarts else []
    with run.console_path.open("ab") as console:
        return subprocess.Popen(
            child.command("yofo_mlx.cli", "resume", str(run.path), "--lock", str(held), *options),
            env=child.environment(),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            pass_fds=[held],
            start_new_session=True,
        )
