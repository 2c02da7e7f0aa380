"""`yofo train --detach`: start a run that outlives this terminal. Imports no model code."""

from collections.abc import Sequence
from pathlib import Path

from yofo_mlx import launch
from yofo_mlx.errors import ExitCode
from yofo_mlx.models import model_path
from yofo_mlx.recipe_file import find_recipe, load_recipe


def start(
    recipe_name: str, overrides: Sequence[str], *, name: str | None = None, force: bool = False
) -> ExitCode:
    """Check recipe and data, start the run in the background and print its folder.

    Whether it fits is the child's to find out; the run then says so.
    """
    path = find_recipe(recipe_name)
    recipe = load_recipe(path, overrides)
    if "/" not in recipe.model or Path(recipe.model).exists():  # the hub is the child's business
        model_path(recipe.model)
    print(launch.start(path, overrides, name, force=force).path)
    return ExitCode.OK
