"""`yofo plan`: what a run will need, before anything heavy."""

import json
import sys
from dataclasses import replace

from yofo_mlx.commands.outlook import table
from yofo_mlx.errors import ExitCode
from yofo_mlx.models.base import base_of, model_config, model_path
from yofo_mlx.planning.evaluation import refused, shortening
from yofo_mlx.planning.machine import plan_here
from yofo_mlx.planning.outlook import Outlook, as_dict
from yofo_mlx.planning.packing import settled
from yofo_mlx.planning.probe import probe
from yofo_mlx.planning.speeds import keep_probe
from yofo_mlx.preview.plan import doubts_of_sizes, drawn, outlook_of
from yofo_mlx.runs.events import finite
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.talk import say_next
from yofo_mlx.system.text import printable
from yofo_mlx.training.beginning import check_fits, doubts


def plan(request: RecipeRequest, *, probed: bool, as_json: bool) -> ExitCode:
    """Print the forecast of a recipe; what cannot fit ends with an exit code of its own.

    Sizes come first: without them there is nothing to say. `probed`: also time a few steps.
    """
    recipe = request.load()
    model = model_path(recipe.model, recipe.revision, weights=False)
    planner = plan_here(recipe, model)
    check_fits(recipe)
    recipe, notes = settled(recipe, model_config(model))
    for doubt in (*notes, *doubts(recipe), *doubts_of_sizes(recipe, planner)):
        _warn(*doubt)
    way = planner.longest_step(recipe)
    found = drawn(recipe, model, request.data_name, needed=probed, warn=_warn)
    workload, draws = found.workload, found.draws
    for warning in workload.warnings(recipe) if workload else ():
        _warn(*warning)
    measured = None
    if probed and planner.fits(way):
        assert workload is not None  # what is needed is there, or was an error
        measured = probe(recipe, base_of(recipe), workload, planner, draws)
        keep_probe(measured.speed(planner, recipe))
    elif probed:
        _warn("not probed, since it does not fit")
    outlook = outlook_of(recipe, planner, found, measured)
    asked = outlook.asking
    if asked.validation and (short := shortening(asked.validation)):
        _warn(*short)
    if asked.evaluation and (refusal := refused(asked.evaluation, planner.limit)):
        _warn(f"`yofo eval`: {refusal.message}", refusal.hint)
    if as_json:
        print(json.dumps(finite(as_dict(outlook)), allow_nan=False))
    else:
        print(table(outlook), flush=True)
        _tell_next(outlook, request)
    return ExitCode.OK if outlook.fits else ExitCode.WONT_FIT


def _tell_next(outlook: Outlook, request: RecipeRequest) -> None:
    """Tell how to train what fits, or how to shorten what does not."""
    if outlook.fits:
        say_next(f"train {request}")
    elif longest := outlook.longest:
        shorter = [*request.overrides, f"episodes.max_tokens={longest}"]
        say_next(f"plan {replace(request, overrides=shorter)}")


def _warn(message: str, hint: str = "") -> None:
    print(f"warning: {printable(message)}", file=sys.stderr)
    if hint:
        print(f"  {printable(hint)}", file=sys.stderr)
