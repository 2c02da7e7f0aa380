"""Start a run in a process of its own that outlives whoever started it."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yofo_mlx import child, runs
from yofo_mlx.files import disk_error, sync_folder, write_text
from yofo_mlx.recipe import Recipe
from yofo_mlx.recipe_file import load_recipe, to_toml, validate
from yofo_mlx.runs import Run
from yofo_mlx.tasks.registry import load_tasks


def create_run(recipe: Recipe, name: str) -> Run:
    """Create a run folder with the recipe as resolved."""
    run = runs.create(name)
    try:
        write_text(run.recipe_path, to_toml(recipe))
        runs.save_info(run, first_info(recipe))
        sync_folder(run.path.parent)
    except OSError as error:
        shutil.rmtree(run.path, ignore_errors=True)
        raise disk_error(error, run.path.parent) from error
    return run


def first_info(recipe: Recipe) -> dict[str, Any]:
    """Return what run.json holds from the first."""
    return {"format": runs.FORMAT, "recipe": recipe.model_dump(mode="json")}


def run_recipe(run: Run) -> tuple[Recipe, list[tuple[str, str]]]:
    """Return the recipe that a run began with, and warnings of what no longer says the same."""
    if (began := run.info().get("recipe")) is None:
        message = f"{run.path / 'run.json'} is missing or damaged"
        hint = "the run goes on by its recipe.toml; what it was made with is not known any more"
        return load_recipe(run.recipe_path), [(message, hint)]
    recipe = validate(began, str(run.path / "run.json"))
    try:
        if run.recipe_path.read_text(encoding="utf-8") == to_toml(recipe):
            return recipe, []
    except (OSError, ValueError):
        pass
    message = f"{run.recipe_path} was edited after the run began"
    return recipe, [(message, "the run goes on as it began; start a new one for the new recipe")]


def start(
    recipe_path: Path,
    overrides: Sequence[str] = (),
    name: str | None = None,
    *,
    force: bool = False,
    restarts: int = 0,
) -> Run:
    """Check a recipe and its data, create its run and train it detached."""
    recipe = load_recipe(recipe_path, overrides)
    load_tasks(recipe.tasks, recipe.seed, Path.cwd(), str(recipe_path))
    run = create_run(recipe, name or recipe_path.stem)
    detach(run, force=force, restarts=restarts)
    return run


def detach(run: Run, *, force: bool = False, restarts: int = 0) -> int:
    """Train (or go on with) a run in the background; return the process id.

    `force`: also if the forecast says that it will not fit. `restarts`: how often it is started
    again after it died.
    """
    # The child inherits the lock: from its birth on, nobody else can take the run.
    run.check_format()
    with runs.locked(run) as lock:
        run.stop_path.unlink(missing_ok=True)
        process = spawn(run, lock, force=force, restarts=restarts)
        runs.sign(run, lock, process.pid)
    return process.pid


def spawn(
    run: Run, lock: int, *, force: bool = False, restarts: int = 0
) -> "subprocess.Popen[bytes]":
    """Start a trainer, or with `restarts` its supervisor, on a run whose lock is held."""
    options = ["--force"] if force else []
    options += ["--restarts", str(restarts)] if restarts else []
    with run.console_path.open("ab") as console:
        return subprocess.Popen(
            child.command("yofo_mlx.cli", "resume", str(run.path), "--lock", str(lock), *options),
            env=child.environment(),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            pass_fds=[lock],
            start_new_session=True,
        )
