"""What a study is to make, and the request of it that the queue keeps."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from yofo_mlx.commands.long_run import tell
from yofo_mlx.planning.hours import hours_of
from yofo_mlx.planning.machine import find_planner
from yofo_mlx.planning.volume import volume_bounds
from yofo_mlx.queueing.studies import StudyRequest
from yofo_mlx.recipe.file import to_toml
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.study import Study
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.study.arms import chosen
from yofo_mlx.study.plan import StudyPlan, as_asked
from yofo_mlx.study.results import Result, StudyFolder
from yofo_mlx.study.texts import fingerprint, read_texts
from yofo_mlx.system import paths
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.registry import load_tasks


def to_be_queued(request: RecipeRequest) -> StudyRequest:
    """Return a study as the queue keeps it; refuse one that could not be made."""
    recipe = as_asked(request.load())
    plan = planned(request, recipe, (), apart=False)
    folder = StudyFolder(paths.studies() / request.run_name)
    folder.identity()
    tell_hours(plan)
    name, text = request.run_name, to_toml(request.load())
    return StudyRequest(name=name, recipe=text, folder=str(folder.path))


def planned(
    request: RecipeRequest, recipe: Recipe, arms: Sequence[str], *, apart: bool
) -> StudyPlan:
    """Return what is to be made of a recipe; refuse what could not be."""
    settings = recipe.study or Study()
    some = chosen(arms or settings.arms)
    entries = load_tasks(recipe.tasks, recipe.seed, Path(os.devnull), request.data_name)
    texts = fingerprint(read_texts(settings), settings.forgetting_tokens)
    plan = StudyPlan(request.run_name, recipe, some, entries, texts, apart)
    plan.check()
    return plan


def tell_hours(plan: StudyPlan, results: Mapping[str, Result] | None = None) -> None:
    """Say how long the trainings take that a study still lacks, if that is longer than a day."""
    recipe, planner = plan.recipe, find_planner(plan.recipe, whole=True)
    if planner is None:
        return
    made = results or {}
    trials = {work.trial for work in plan.work(made) if work.trial.arm.trains}
    trials = {one for one in trials if one.name not in made}
    hours = hours_of(recipe, planner, volume_bounds(recipe), [], None)
    if hours is None or not trials:
        return
    share = plan.settings.dedicated_tokens / (recipe.train.tokens or 1)
    times = sum(share if one.task else 1.0 for one in trials)
    all_of_them = replace(hours, seconds_per_step=hours.seconds_per_step * times)
    if all_of_them.is_long:
        several = f"the {plural(len(trials), 'training')} of this study take, one after another,"
        tell(all_of_them, several)
