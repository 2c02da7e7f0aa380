"""How the verbs begin and end that make or choose training rows with the base."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yofo_mlx.episodes.bounds import check_tables
from yofo_mlx.errors import ExitCode
from yofo_mlx.models.base import Base, base_of
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.rehearsal import tables
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.talk import print_path, quoted, say, say_next
from yofo_mlx.tasks.registry import TaskEntry, load_tasks


def training_tasks(request: RecipeRequest, recipe: Recipe) -> list[TaskEntry]:
    """Return the tasks that a recipe trains on."""
    entries = load_tasks(recipe.tasks, recipe.seed, Path.cwd(), request.data_name)
    return [entry for entry in entries if entry.role == "train"]


def reading_base(recipe: Recipe) -> tuple[Base, int]:
    """Load the base to read prompts; return it with the most tokens that one may have."""
    if recipe.init_adapter:
        say("the base reads and answers without `init_adapter`")
    base = base_of(recipe)
    check_tables(recipe, base.tokenizer, base.config)
    base.model.eval()
    return base, min(recipe.longest_prompt, base.context or recipe.longest_prompt)


def end(
    folder: Path, about: dict[str, Any], show: Callable[[], None], *, as_json: bool
) -> ExitCode:
    """Print what is said of the rows, or show them, where their recipe is, and what trains it."""
    if as_json:
        print(json.dumps(about))
        return ExitCode.OK
    show()
    print_path(folder / tables.RECIPE)
    say_next(f"train {quoted(folder / tables.RECIPE)}")
    return ExitCode.OK
