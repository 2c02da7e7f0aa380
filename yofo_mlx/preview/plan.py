"""What a recipe in the making will need: memory, and once its data are read, tokens and time."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.episodes.bounds import check_tables
from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.hub.errors import is_out_of_reach
from yofo_mlx.models.base import base_of, load_tokenizer, model_config, model_path
from yofo_mlx.planning.evaluation import asked_at_most, most_asked, plan_evaluation, plan_validation
from yofo_mlx.planning.hours import hours_of
from yofo_mlx.planning.machine import not_free, plan_here
from yofo_mlx.planning.outlook import Asking, Outlook, as_dict
from yofo_mlx.planning.packing import settled
from yofo_mlx.planning.planner import Planner, beyond_context
from yofo_mlx.planning.probe import Measurement, probe
from yofo_mlx.planning.shelf import curated_planner, folders_here
from yofo_mlx.planning.speeds import keep_probe
from yofo_mlx.planning.volume import Draw, draw, volume_bounds, volume_of
from yofo_mlx.planning.workload import Workload, make_workload
from yofo_mlx.recipe.names import found_at
from yofo_mlx.recipe.schema import Recipe, TaskSource
from yofo_mlx.runs.events import finite
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.runs.trained import Note
from yofo_mlx.system import paths
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.registry import TaskEntry, is_embedded, load_tasks
from yofo_mlx.training.beginning import check_fits, doubts

Warn = Callable[[str, str], None]


@dataclass(frozen=True)
class Drawn:
    """What a recipe's data and tokenizer gave; without them it is empty."""

    workload: Workload | None = None
    draws: list[Draw] = field(default_factory=list)


def plan(data: dict[str, Any], folder: str = ".") -> dict[str, Any]:
    """Return the forecast of a recipe as it is parsed, without a look at its data.

    `folder`: what its paths are relative to.
    """
    recipe = resolve(data, "the recipe", Path(folder))
    check_fits(recipe)
    return forecast(recipe, Drawn())


def forecast(recipe: Recipe, found: Drawn) -> dict[str, Any]:
    """Return what `yofo plan --json` says, what speaks against it, and how long it will take."""
    recipe, notes = as_trained(recipe)
    planner, workload = _planner(recipe), found.workload
    outlook = outlook_of(recipe, planner, found)
    warnings = [*notes, *doubts(recipe), *doubts_of_sizes(recipe, planner)]
    if workload:
        warnings += workload.warnings(recipe)
    more = {"warnings": warnings, "free_gb": _free_gb()}
    return {**finite(as_dict(outlook)), **more, "is_here": is_here(recipe)}


def outlook_of(
    recipe: Recipe, planner: Planner, found: Drawn, measured: Measurement | None = None
) -> Outlook:
    """Return all that is known of a run before it begins; `measured`: by a probe of it."""
    volume = volume_of(recipe, found.draws) if found.draws else volume_bounds(recipe)
    asked, workload = asking(recipe, planner, found), found.workload
    entries = workload.valid_entries(recipe.evaluation.valid_tasks) if workload else None
    hours = hours_of(
        recipe,
        planner,
        volume,
        found.draws,
        asked.validation,
        None if entries is None else len(entries),
        measured.speed(planner, recipe) if measured else None,
    )
    size = workload.size() if workload else None
    way = planner.longest_step(recipe)
    return Outlook(recipe, planner, way, volume, measured, asked, size, hours)


def measure(data: dict[str, Any], folder: str = ".") -> dict[str, Any]:
    """Time a few steps of a recipe as it is parsed, and keep what that says of its model.

    The model is loaded, never downloaded.
    """
    recipe = resolve(data, "the recipe", Path(folder))
    if not is_here(recipe):
        raise YofoError(f"{recipe.model} is not on this disk", "a run, or `yofo pull`, fetches it")
    recipe, _ = as_trained(recipe)
    planner = plan_here(recipe)
    planner.check(recipe)
    model = model_path(recipe.model, recipe.revision, weights=False)
    found = drawn(recipe, model, "RECIPE", needed=True, warn=lambda what, hint: None)
    assert found.workload is not None  # what is needed is there, or was an error
    base = base_of(recipe)
    measured = probe(recipe, base, found.workload, planner, found.draws)
    keep_probe(measured.speed(planner, recipe))
    return forecast(recipe, found)


def as_trained(recipe: Recipe) -> tuple[Recipe, list[Note]]:
    """Return a recipe as its model can be trained with it, and what that changes in words."""
    if not recipe.train.packed:
        return recipe, []
    try:
        config = model_config(model_path(recipe.model, recipe.revision, weights=False))
    except YofoError:  # out of reach: the run will tell
        return recipe, []
    return settled(recipe, config)


def is_here(recipe: Recipe) -> bool:
    """Tell whether a recipe's model is on this disk."""
    return recipe.model in folders_here() or found_at(recipe.model) is not None


def _planner(recipe: Recipe) -> Planner:
    """Return the planner of a recipe; of a model that a shipped one has, also out of its reach."""
    try:
        return plan_here(recipe)
    except YofoError:
        if known := curated_planner(recipe):
            return known
        raise


def _free_gb() -> float | None:
    """Return how much the disk of the runs can take."""
    there = next((path for path in (paths.runs(), *paths.runs().parents) if path.is_dir()), None)
    return shutil.disk_usage(there).free / 1e9 if there else None


def doubts_of_sizes(recipe: Recipe, planner: Planner) -> Sequence[tuple[str, str]]:
    """Return what a model's sizes make doubtful, as message and hint."""
    found = [beyond_context(recipe.episodes.max_tokens, planner.shape.context)]
    if not planner.shape.adapter_parameters:
        message = "no tensor of the model is of a layer that would get an adapter"
        found.append((message, "check lora.keys; what the adapter needs is not counted"))
    return [one for one in (*found, not_free(recipe, planner)) if one]


def drawn(recipe: Recipe, model: Path, named: str, *, needed: bool, warn: Warn) -> Drawn:
    """Return a recipe's workload and batches; none, with a warning, if data cannot be had.

    `needed`: then that is an error. `named`: the recipe's file, for messages.
    """
    try:
        entries = reachable_entries(recipe, named)
        tokenizer = tokenizer_of(recipe, model)
    except DataError:
        raise
    except YofoError as error:
        if needed:
            raise
        warn(f"tokens are bounds only: {error.message}", error.hint)
        return Drawn()
    check_tables(recipe, tokenizer, model_config(model))
    workload = make_workload(recipe, entries, tokenizer)
    return Drawn(workload, draw(recipe, workload))


def tokenizer_of(recipe: Recipe, model: Path) -> Any:
    """Return the tokenizer of a recipe's model."""
    config = model_config(model)
    return load_tokenizer(model, config, trust_remote_code=recipe.trust_remote_code)


def asking(recipe: Recipe, planner: Planner, found: Drawn) -> Asking:
    """Return the forecasts of a recipe's validations and of its evaluation."""
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


def reachable_entries(recipe: Recipe, named: str) -> list[TaskEntry]:
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
