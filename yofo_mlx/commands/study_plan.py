"""What a study is to make, and the request of it that the queue keeps."""

import os
from collections.abc import Sequence
from pathlib import Path

from yofo_mlx.queueing.studies import StudyRequest
from yofo_mlx.recipe.file import to_toml
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.study import Study
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.study.arms import chosen
from yofo_mlx.study.plan import StudyPlan, as_asked
from yofo_mlx.study.results import StudyFolder
from yofo_mlx.study.texts import fingerprint, read_texts
from yofo_mlx.system import paths
from yofo_mlx.tasks.registry import load_tasks


def to_be_queued(request: RecipeRequest) -> StudyRequest:
    """Return a study as the queue keeps it; refuse one that could not be made."""
    recipe = as_asked(request.load())
    planned(request, recipe, (), apart=False)
    folder = StudyFolder(paths.studies() / request.run_name)
    folder.identity()
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
