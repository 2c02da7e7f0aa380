"""From a recipe to what is trained: its data, its model, and the way to take its steps."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from yofo_mlx.episodes.bounds import check_tables, check_taught
from yofo_mlx.models.adapters import check_adapter
from yofo_mlx.models.base import Base, base_of
from yofo_mlx.planning.machine import find_planner
from yofo_mlx.planning.planner import Planner
from yofo_mlx.planning.workload import Workload, make_workload
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.info import RunInfo
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.training.ranks import Ranks


@dataclass(frozen=True)
class Setup:
    """What a recipe names, in memory."""

    base: Base
    workload: Workload
    planner: Planner | None = None  # every step by plain autograd
    ranks: Ranks = field(default_factory=Ranks)
    forced: bool = False  # to be tried where a forecast says that it will not fit


def load(recipe: Recipe) -> Setup:
    """Load a recipe's data, model and tokenizer; data first, since it fails sooner."""
    return _with_model(recipe, _entries(recipe), None)


def load_planned(
    recipe: Recipe,
    *,
    force: bool,
    info: RunInfo | None = None,
    fits: bool = False,
    named: str = "RECIPE.toml",
) -> Setup:
    """Load what a run needs; refuse, before the weights are loaded, what cannot fit.

    `info`: what run.json says of a run that goes on, which takes its steps as before; `fits`: they
    did. `named`: the recipe's file, for messages.
    """
    entries = _entries(recipe, named)
    # None where the model's sizes cannot be read.
    planner = find_planner(recipe, info, whole=force)
    if planner and not force and not fits:
        planner.check(recipe)
    return replace(_with_model(recipe, entries, planner), forced=force)


def _entries(recipe: Recipe, named: str = "RECIPE.toml") -> list[TaskEntry]:
    """Read a recipe's data; what is no absolute path in it is an id, whatever lies here."""
    return load_tasks(recipe.tasks, recipe.seed, Path(os.devnull), named)


def _with_model(recipe: Recipe, entries: list[TaskEntry], planner: Planner | None) -> Setup:
    base = base_of(recipe)
    check_adapter(base.model, recipe.lora)
    check_tables(recipe, base.tokenizer, base.config)
    check_taught((row for entry in entries for row in entry.task.train), base.config)
    return Setup(base, make_workload(recipe, entries, base.tokenizer), planner)
