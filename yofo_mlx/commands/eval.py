"""`yofo eval`: accuracy by number of shots on held-out tasks, base against adapter."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import mlx.core as mx

from yofo_mlx import runs
from yofo_mlx.adapters import load_adapter
from yofo_mlx.commands.background import find_planner
from yofo_mlx.commands.train import load
from yofo_mlx.errors import ExitCode, RecipeError, RunError
from yofo_mlx.evaluate import Measure, evaluate_entry
from yofo_mlx.evaluation_plan import asked_of, plan_evaluation, refused
from yofo_mlx.files import write_text
from yofo_mlx.models import Base
from yofo_mlx.plan import LEAST_CACHE
from yofo_mlx.recipe import Recipe
from yofo_mlx.recipe_file import load_recipe
from yofo_mlx.report import Report, draw, table
from yofo_mlx.tasks.registry import TaskEntry

PICTURE = "accuracy-by-shots.png"


def evaluate_run(
    name: str,
    overrides: Sequence[str] = (),
    *,
    only: Sequence[str] = (),
    as_json: bool = False,
    picture: Path | None = None,
) -> ExitCode:
    """Measure a run's held-out tasks without and with its adapter; keep the result with the run."""
    run = runs.find(name)
    path = _picture_path(picture or run.path / PICTURE)
    _picture_path(run.path / PICTURE)  # the figures go there in any case
    if not run.adapter_path.is_dir():
        raise RunError(
            f"run {run.run_id} has no adapter yet (it is {run.status()})",
            "wait for its first validation or its end",
        )
    recipe = load_recipe(run.recipe_path, overrides)
    base, workload = load(recipe)
    entries = _choose(workload.held_out, only)
    at_once = _copies(recipe, base, entries)
    without = measure(base, recipe, entries, "base", at_once)
    _check_measured(without)
    load_adapter(base.model, run.adapter_path)
    report = Report.join(run.run_id, without, measure(base, recipe, entries, "adapter", at_once))
    write_text(run.report_path, json.dumps(report.as_dict(), indent=2) + "\n")
    draw(report, path)
    print(json.dumps(report.as_dict()) if as_json else table(report))
    print(f"picture: {path}", file=sys.stderr)
    return ExitCode.OK


def _picture_path(path: Path) -> Path:
    """Refuse a picture that could not be written, before minutes of measuring."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf") or path.is_dir():
        raise RecipeError(f"{path}: pictures are .png, .svg or .pdf", "give it such a name")
    if not os.access(path.parent, os.W_OK):
        raise RecipeError(f"{path.parent} is not a folder to write to", "choose another place")
    return path


def _check_measured(measures: list[Measure]) -> None:
    if not measures:
        raise RecipeError(
            "none of evaluation.shots can be measured: too many for the tasks' examples, or a query"
            " does not fit the longest prompt",
            "give fewer shots, or raise evaluation.max_tokens",
        )


def _choose(entries: list[TaskEntry], only: Sequence[str]) -> list[TaskEntry]:
    names = [entry.task.name for entry in entries]
    if not entries:
        raise RecipeError(
            "the run's recipe has no held-out task",
            'add a [[tasks]] table with role = "held_out", or --set tasks.N.role=held_out',
        )
    if unknown := sorted(set(only) - set(names)):
        raise RecipeError(
            f"no held-out task is called {', '.join(unknown)}", "there are: " + ", ".join(names)
        )
    chosen = [entry for entry in entries if not only or entry.task.name in only]
    if silent := [e.task.name for e in chosen if not (e.task.test or e.task.valid)]:
        raise RecipeError(
            f"held-out task {silent[0]} has no query: its source has neither test nor valid rows",
            "give it a `test` split, or a `valid_share` above 0",
        )
    return chosen


def _copies(recipe: Recipe, base: Base, entries: list[TaskEntry]) -> int | None:
    """Return how many queries there is memory for at once; refuse what has none for a single one.

    None where the model's sizes are not known.
    """
    planner = find_planner(recipe)
    asked = asked_of(recipe, entries, base.tokenizer, valid=False)
    if planner is None or asked is None:
        return None
    plan = plan_evaluation(planner, asked)
    if refusal := refused(plan, planner.limit):
        raise refusal
    mx.set_cache_limit(max(plan.work, LEAST_CACHE))  # what one group frees, the next one takes
    return plan.copies


def measure(
    base: Base,
    recipe: Recipe,
    entries: list[TaskEntry],
    what: str,
    at_once: int | None = None,
) -> list[Measure]:
    """Measure every task with the model as it is."""
    base.model.eval()
    measures: list[Measure] = []
    for number, entry in enumerate(entries, 1):
        _talk(f"\r{what}: task {number} of {len(entries)}")
        measures += evaluate_entry(base, recipe, entry, at_once=at_once)
    _talk("\n")
    return measures


def _talk(text: str) -> None:
    if sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)
