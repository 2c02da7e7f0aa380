"""`yofo train --detach`: start a run that outlives this terminal. Imports no model code."""

from collections.abc import Sequence

from yofo_mlx import launch
from yofo_mlx.errors import ExitCode
from yofo_mlx.recipe_file import find_recipe, load_recipe


def start(recipe_name: str, overrides: Sequence[str], *, name: str | None = None) -> ExitCode:
    """Validate a recipe, start its run in the background and print the run's folder."""
    path = find_recipe(recipe_name)
    run = launch.create_run(load_recipe(path, overrides), name or path.stem)
    launch.detach(run)
    print(run.path)
    return ExitCode.OK
