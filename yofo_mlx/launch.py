"""Start a run in a process of its own that outlives whoever started it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from yofo_mlx import child, runs
from yofo_mlx.files import write_text
from yofo_mlx.recipe import Recipe
from yofo_mlx.recipe_file import load_recipe, to_toml
from yofo_mlx.runs import Run


def create_run(recipe: Recipe, name: str) -> Run:
    """Create a run folder with the recipe as resolved."""
    run = runs.create(name)
    write_text(run.recipe_path, to_toml(recipe))
    return run


def start(recipe_path: Path, overrides: Sequence[str] = ()) -> Run:
    """Validate a recipe, create its run and train it detached."""
    recipe = load_recipe(recipe_path, overrides)
    run = create_run(recipe, recipe_path.stem)
    detach(run)
    return run


def detach(run: Run) -> int:
    """Train (or go on with) a run in the background; return the process id."""
    run.stop_path.unlink(missing_ok=True)
    with run.console_path.open("ab") as console:
        process = subprocess.Popen(
            child.command("yofo_mlx.cli", "resume", str(run.path)),
            env=child.environment(),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
    return process.pid
