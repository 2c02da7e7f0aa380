"""The planner of a recipe on this machine, and of a run that began on another one."""

from typing import TYPE_CHECKING

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import Memory, Recipe
from yofo_mlx.runs.info import RunInfo
from yofo_mlx.runs.trained import Note
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.system.quantities import size
from yofo_mlx.system.talk import say

if TYPE_CHECKING:
    from yofo_mlx.planning.planner import Planner


def find_planner(recipe: Recipe, info: RunInfo | None = None) -> "Planner | None":
    """Return the planner of a recipe, None where the model's sizes cannot be read.

    `info`: what run.json says of a run that goes on, which takes its steps as before; on a smaller
    machine, as that can.
    """
    from yofo_mlx.models.adapters import NoPlace
    from yofo_mlx.models.base import model_path  # MLX: who only watches a run needs none
    from yofo_mlx.planning.planner import make_planner

    info = info or RunInfo()
    model_path(recipe.model, recipe.revision, weights=False)  # is there one at all?
    limit_gb = None if is_smaller(recipe, info) else info.limit_gb
    try:
        return make_planner(recipe, limit_gb=limit_gb, largest_chunk=info.largest_chunk)
    except RecipeError as error:
        if recipe.memory != Memory() or isinstance(error, NoPlace):
            raise
        say(f"warning: {error.message}; whole episodes at once")
        return None


def is_smaller(recipe: Recipe, info: RunInfo) -> bool:
    """Tell whether this machine has less memory than the run was planned for."""
    limit = memory_limit(recipe.memory.limit_gb)
    return info.limit_gb is not None and limit.nbytes < int(info.limit_gb * 1e9)


def smaller_machine(recipe: Recipe, info: RunInfo) -> Note | None:
    """Return a warning of a run that is taken to a machine with less memory."""
    if not is_smaller(recipe, info):
        return None
    planned = size((info.limit_gb or 0) * 1e9)
    message = f"the run was planned for {planned} of memory, this machine has less"
    return message, "its steps may be taken in smaller pieces: the same but for rounding"
