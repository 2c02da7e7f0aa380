"""`yofo plan`: what a run will need, before anything heavy."""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from yofo_mlx.commands.outlook import Asking, Outlook, as_dict, table
from yofo_mlx.episodes.bounds import check_tables
from yofo_mlx.errors import DataError, ExitCode, YofoError
from yofo_mlx.hub.errors import is_out_of_reach
from yofo_mlx.models.base import load_base, load_tokenizer, model_config, model_path
from yofo_mlx.planning.evaluation import (
    asked_at_most,
    most_asked,
    plan_evaluation,
    plan_validation,
    refused,
    shortening,
)
from yofo_mlx.planning.planner import (
    Planner,
    beyond_context,
    make_planner,
)
from yofo_mlx.planning.probe import probe
from yofo_mlx.planning.volume import Draw, draw, volume_bounds, volume_of
from yofo_mlx.planning.workload import Workload, make_workload
from yofo_mlx.recipe.schema import Recipe, TaskSource
from yofo_mlx.runs.events import finite
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.talk import say_next
from yofo_mlx.system.text import printable
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.registry import TaskEntry, is_embedded, load_tasks
from yofo_mlx.training.beginning import check_fits, doubts


def plan(request: RecipeRequest, *, probed: bool, as_json: bool) -> ExitCode:
    """Print the forecast of a recipe; what cannot fit ends with an exit code of its own.

    Sizes come first: without them there is nothing to say. `probed`: also time a few steps.
    """
    recipe = request.load()
    model = model_path(recipe.model, recipe.revision, weights=False)
    planner = make_planner(recipe, model)
    check_fits(recipe)
    for doubt in doubts(recipe):
        _warn(*doubt)
    _warn_of_sizes(recipe, planner)
    way = planner.longest_step(recipe)
    found = _draws(recipe, model, request.data_name, needed=probed)
    workload, draws = found.workload, found.draws
    measured = None
    if probed and planner.fits(way):
        assert workload is not None  # what is needed is there, or was an error
        measured = probe(recipe, _load(recipe), workload, planner, draws)
    elif probed:
        _warn("not probed, since it does not fit")
    volume = volume_of(recipe, draws) if draws else volume_bounds(recipe)
    asking = _asking(recipe, planner, found)
    data = workload.size() if workload else None
    outlook = Outlook(recipe, planner, way, volume, measured, asking, data)
    if asking.validation and (warning := shortening(asking.validation)):
        _warn(*warning)
    if asking.evaluation and (refusal := refused(asking.evaluation, planner.limit)):
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


def _load(recipe: Recipe) -> Any:
    return load_base(
        recipe.model, revision=recipe.revision, trust_remote_code=recipe.trust_remote_code
    )


def _warn(message: str, hint: str = "") -> None:
    print(f"warning: {printable(message)}", file=sys.stderr)
    if hint:
        print(f"  {printable(hint)}", file=sys.stderr)


def _warn_of_sizes(recipe: Recipe, planner: Planner) -> None:
    if warning := beyond_context(recipe.episodes.max_tokens, planner.shape.context):
        _warn(*warning)
    if not planner.shape.adapter_parameters:
        _warn(
            "no tensor of the model is of a layer that would get an adapter",
            "check lora.keys; what the adapter needs is not counted",
        )


# ---------------------------------------------------------------------- what the run will draw


@dataclass(frozen=True)
class Drawn:
    """What a recipe's data and tokenizer gave; without them it is empty."""

    workload: Workload | None = None
    draws: list[Draw] = field(default_factory=list)


def _draws(recipe: Recipe, model: Path, named: str, *, needed: bool) -> Drawn:
    """Return a recipe's workload and batches; none, with a warning, if data cannot be had.

    `needed`: then that is an error. `named`: the recipe's file, for messages.
    """
    try:
        entries = _entries(recipe, named)
        tokenizer = load_tokenizer(
            model, model_config(model), trust_remote_code=recipe.trust_remote_code
        )
    except DataError:
        raise
    except YofoError as error:
        if needed:
            raise
        _warn(f"tokens are bounds only: {error.message}", error.hint)
        return Drawn()
    check_tables(recipe, tokenizer, model_config(model))
    workload = make_workload(recipe, entries, tokenizer)
    for warning in workload.warnings(recipe):
        _warn(*warning)
    return Drawn(workload, draw(recipe, workload))


def _asking(recipe: Recipe, planner: Planner, found: Drawn) -> Asking:
    if found.workload is None:
        most = asked_at_most(recipe)
        return Asking(plan_validation(planner, most), plan_evaluation(planner, most))
    workload = found.workload
    entries = workload.valid_entries(recipe.evaluation.valid_tasks)
    valid = most_asked(recipe, entries, workload.tokenizer, valid=True)
    asked = most_asked(recipe, workload.held_out, workload.tokenizer)
    return Asking(
        plan_validation(planner, valid) if valid else None,
        plan_evaluation(planner, asked) if asked else None,
    )


def _entries(recipe: Recipe, named: str) -> list[TaskEntry]:
    """Read the data; YofoError if only the hub is out of reach, DataError if anything is wrong."""
    base = Path.cwd()
    try:
        return load_tasks(recipe.tasks, recipe.seed, base, named)
    except DataError as error:
        reasons = [_why_away(source, base) for source in recipe.tasks]
        away = [reason for reason in reasons if reason]
        if not away:
            raise
        pairs = zip(recipe.tasks, reasons, strict=True)
        load_tasks([source for source, reason in pairs if not reason], recipe.seed, base, named)
        more = f" (and {len(away) - 1} more data sets)" if len(away) > 1 else ""
        raise YofoError(f"{away[0].message}{more}", away[0].hint) from error


def _why_away(source: TaskSource, base: Path) -> DataError | None:
    """Return why a data set cannot be had from the hub, None if it can or is not from there."""
    if is_embedded(source) or locate.is_pattern(source.source):
        return None
    try:
        locate.pieces(source, base)
    except DataError as error:
        return error if is_out_of_reach(error.__cause__) else None
    return None
