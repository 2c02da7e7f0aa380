"""What verbs begin with that make training rows with the base: the tasks, and the base itself."""

from pathlib import Path

from yofo_mlx.episodes.bounds import check_tables
from yofo_mlx.models.base import Base, base_of
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.talk import say
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
