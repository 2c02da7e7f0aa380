"""Start a run in a process of its own that outlives whoever started it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from yofo_mlx import child, runs
from yofo_mlx.files import write_text
from yofo_mlx.recipe import Recipe
from yofo_mlx.recipe_file import load_recipe, to_toml
from yofo_mlx.runs import Run
from yofo_mlx.tasks.registry import load_tasks


def create_run(recipe: Recipe, name: str) -> Run:
    """Create a run folder with the recipe as resolved."""
    run = runs.create(name)
    try:
        write_text(run.recipe_path, to_toml(recipe))
    except BaseException:
        run.path.rmdir()
        raise
    return run


def start(
    recipe_path: Path,
    overrides: Sequence[str] = (),
    name: str | None = None,
    *,
    force: bool = False,
) -> Run:
    """Check a recipe and its data, create its run and train it detached."""
    recipe = load_recipe(recipe_path, overrides)
    load_tasks(recipe.tasks, recipe.seed, Path.cwd())
    run = create_run(recipe, name or recipe_path.stem)
    detach(run, force=force)
    return run


def detach(run: Run, *, force: bool = False) -> int:
    """Train (or go on with) a run in the background; return the process id.

    `force`: also if the forecast says that it will not fit.
    """
    options = ["--force"] if force else []
    # The child inherits the lock: from its birth on, nobody else can take the run.
    with run.console_path.open("ab") as console, runs.locked(run) as lock:
        run.stop_path.unlink(missing_ok=True)
        process = subprocess.Popen(
            child.command("yofo_mlx.cli", "resume", str(run.path), "--lock", str(lock), *options),
            env=child.environment(),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            pass_fds=[lock],
            start_new_session=True,
        )
    return process.pid
