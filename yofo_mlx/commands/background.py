"""`--detach` and `--restarts`: runs that outlive this terminal; no model is loaded here."""

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from yofo_mlx import launch, runs
from yofo_mlx.commands import watch
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.recipe import Memory, Recipe
from yofo_mlx.recipe_file import find_recipe, load_recipe
from yofo_mlx.runs import Run

if TYPE_CHECKING:
    from yofo_mlx.plan import Planner


def start(
    recipe_name: str,
    overrides: Sequence[str],
    *,
    name: str | None = None,
    force: bool = False,
    restarts: int = 0,
    attend: bool = False,
) -> ExitCode:
    """Check recipe and data, start the run in the background and print its folder.

    With `attend` stay and show it, until it ends or Ctrl-C stops it.
    """
    path = find_recipe(recipe_name)
    recipe = load_recipe(path, overrides)
    if not force and (planner := find_planner(recipe)):
        planner.check(recipe)
    run = launch.start(path, overrides, name, force=force, restarts=restarts)
    print(run.path, flush=True)
    return watch.attend(run) if attend else ExitCode.OK


def resume(name: str, *, force: bool = False, restarts: int = 0, attend: bool = False) -> ExitCode:
    """Go on with a run in the background."""
    run = runs.find(name)
    if is_finished(run):
        return ExitCode.OK
    launch.detach(run, force=force, restarts=restarts)
    print(run.path, flush=True)
    return watch.attend(run) if attend else ExitCode.OK


def supervise(name: str, lock: int, restarts: int, *, force: bool = False) -> int:
    """Train in a child process, started again when it dies."""
    from yofo_mlx import restart

    return restart.supervise(runs.find(name), lock, restarts, force=force)


def is_finished(run: Run) -> bool:
    """Tell whether nothing is left to do, and say so."""
    last = runs.last_event(run.events_path)
    if last is None or last["kind"] != "finished":
        return False
    print(f"{run.run_id} is finished, after {last.get('step')} steps", file=sys.stderr)
    print(run.path)
    return True


def find_planner(
    recipe: Recipe, info: Mapping[str, Any] = MappingProxyType({})
) -> "Planner | None":
    """Return the planner of a recipe, None where the model's sizes cannot be read.

    `info`: what run.json says of a run that goes on, which takes its steps as before.
    """
    from yofo_mlx.models import model_path
    from yofo_mlx.plan import make_planner

    model_path(recipe.model, recipe.revision, weights=False)  # is there one at all?
    limits = {name: info.get(name) for name in ("limit_gb", "largest_chunk")}
    try:
        return make_planner(recipe, **limits)
    except RecipeError as error:
        if recipe.memory != Memory():
            raise
        print(f"warning: {error.message}; whole episodes at once", file=sys.stderr)
        return None
