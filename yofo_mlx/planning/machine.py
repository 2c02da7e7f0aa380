"""The planner of a recipe on this machine as it is now, and of a run that began under another."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import Memory, Recipe
from yofo_mlx.runs.info import RunInfo
from yofo_mlx.runs.supervisor import FIRST_CHUNK, LEAST_CHUNK
from yofo_mlx.runs.trained import Note
from yofo_mlx.system.memory import MemoryLimit, limit_now, memory_limit
from yofo_mlx.system.quantities import size
from yofo_mlx.system.talk import say

if TYPE_CHECKING:
    from yofo_mlx.planning.evaluation import Asked, EvaluationPlan
    from yofo_mlx.planning.planner import Planner


def find_planner(
    recipe: Recipe, info: RunInfo | None = None, *, whole: bool = False
) -> "Planner | None":
    """Return the planner of a recipe, None where the model's sizes cannot be read.

    It goes by what the machine can give where the longest step, so planned, fits into what is free
    now: so the figures are the same from run to run. Else it goes by what is free; with `whole`
    never. `info`: what run.json says of a run that goes on, which takes its steps as before if
    they fit.
    """
    from yofo_mlx.models.adapters import NoPlace
    from yofo_mlx.models.base import model_path  # MLX: who only watches a run needs none
    from yofo_mlx.planning.planner import make_planner

    info = info or RunInfo()
    model_path(recipe.model, recipe.revision, weights=False)  # is there one at all?
    try:
        planner = make_planner(
            recipe, limit=_planned_limit(recipe, info), largest_chunk=info.largest_chunk
        )
    except RecipeError as error:
        if recipe.memory != Memory() or isinstance(error, NoPlace):
            raise
        say(f"warning: {error.message}; whole episodes at once")
        return None
    if whole:
        return planner
    here = _now(planner, recipe)
    return here if here == planner or info.plan is None else _thinner(here, recipe)


def plan_here(recipe: Recipe, model: Path | None = None) -> "Planner":
    """Return the planner of a recipe that is not trained yet, as `find_planner` does.

    A `memory.limit_gb` may be another machine's: then what is free on this one does not count.
    """
    from yofo_mlx.planning.planner import make_planner

    planner = make_planner(recipe, model)
    return planner if recipe.memory.limit_gb else _now(planner, recipe)


def _now(planner: "Planner", recipe: Recipe) -> "Planner":
    """Return a planner, held to what is free now where its longest step does not fit into that."""
    now = limit_now(recipe.memory.limit_gb)
    needed = planner.needed(planner.longest_step(recipe))
    if min(needed, planner.limit) <= now.nbytes:
        return planner
    return replace(planner, limit=min(now.nbytes, planner.limit), source=now.source)


def not_free(recipe: Recipe, planner: "Planner") -> Note | None:
    """Return a warning of steps that fit their limit, but not what is free now."""
    way, now = planner.longest_step(recipe), limit_now(recipe.memory.limit_gb)
    if not planner.fits(way) or planner.needed(way) <= now.nbytes:
        return None
    message = f"it needs {size(planner.needed(way))} of memory; there are {size(now.nbytes)} now"
    return f"{message} ({now.source})", "`yofo train` would take smaller pieces here, or refuse it"


def fitting_validation(recipe: Recipe, planner: "Planner", asked: "Asked") -> "EvaluationPlan":
    """Return how a run validates: by its planner's limit, or by what is free where that is less."""
    from yofo_mlx.planning.evaluation import plan_validation

    planned, now = plan_validation(planner, asked), limit_now(recipe.memory.limit_gb)
    if planned.needed <= now.nbytes:
        return planned
    return plan_validation(replace(planner, limit=min(now.nbytes, planner.limit)), asked)


def is_smaller(recipe: Recipe, info: RunInfo) -> bool:
    """Tell whether there is less memory than a run needs as it was planned, validations too."""
    return _needed(info) > limit_now(recipe.memory.limit_gb).nbytes


def smaller_machine(recipe: Recipe, info: RunInfo) -> Note | None:
    """Return a warning of a run that goes on where there is less memory."""
    if not is_smaller(recipe, info):
        return None
    there = size(limit_now(recipe.memory.limit_gb).nbytes)
    message = f"the run was planned for {size(_needed(info))} of memory, there are {there}"
    return message, "its steps may be taken in smaller pieces: the same but for rounding"


def _planned_limit(recipe: Recipe, info: RunInfo) -> MemoryLimit:
    limit = memory_limit(recipe.memory.limit_gb)
    if info.limit_gb is None or info.limit_gb * 1e9 >= limit.nbytes:
        return limit
    return MemoryLimit(int(info.limit_gb * 1e9), "what the run began with")


def _needed(info: RunInfo) -> float:
    """Return the bytes that a run has to have, 0 for one that was never planned."""
    from yofo_mlx.planning.planner import MARGIN

    if info.limit_gb is None:
        return 0.0
    if info.plan is None:
        return info.limit_gb * 1e9
    more = max(info.plan.step_gb, info.plan.validation_gb or 0.0)
    return 1e9 * min(info.limit_gb, info.plan.model_gb + MARGIN * more)


def _thinner(planner: "Planner", recipe: Recipe) -> "Planner":
    """Return a planner whose longest step fits, if need be in smaller chunks than a recipe's."""
    chunk = planner.largest_chunk or FIRST_CHUNK
    thinner = planner
    while not thinner.fits(thinner.longest_step(recipe)) and chunk >= LEAST_CHUNK:
        thinner = replace(planner, largest_chunk=chunk)
        chunk //= 2
    return thinner
