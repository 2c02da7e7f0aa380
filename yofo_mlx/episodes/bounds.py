"""Whether token ids and positions stay within the tables of a model that they index.

MLX does not look at an index: one beyond a table reads, and in the backward pass writes, memory
that belongs to something else.
"""

from collections.abc import Iterable
from typing import Any

from yofo_mlx.episodes.markers import find_markers
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import RecipeError
from yofo_mlx.models.tables import model_tables
from yofo_mlx.recipe.schema import Recipe, Template
from yofo_mlx.tasks.task import Example


def check_tables(recipe: Recipe, tokenizer: Any, config: dict[str, Any]) -> None:
    """Refuse a recipe whose tokens or episodes go beyond its model's tables."""
    check_ids(recipe.template, tokenizer, config)
    tables = model_tables(config)
    rows = tables and tables.positions
    for name, tokens in (
        ("episodes.max_tokens", recipe.episodes.max_tokens),
        ("evaluation.max_tokens", recipe.evaluation.max_tokens),
    ):
        if rows and tokens and tokens > rows:
            raise RecipeError(
                f"{name} is {tokens}, but the model knows {rows} positions only",
                f"set {name} = {rows}",
            )


def check_taught(examples: Iterable[Example], config: dict[str, Any]) -> None:
    """Refuse a teacher's tokens that go beyond a model's table."""
    tables = model_tables(config)
    taught = (one.teacher for one in examples if one.teacher)
    largest = max((token for one in taught for place in one for token, _ in place), default=0)
    if tables and largest >= tables.vocabulary:
        raise RecipeError(
            f"a `teacher` gives token ids up to {largest}, but the model's table has"
            f" {tables.vocabulary} rows (ids up to {tables.vocabulary - 1})",
            "it is of another model: run `yofo rehearse RECIPE --distill 8` anew",
        )


def check_ids(template: Template, tokenizer: Any, config: dict[str, Any]) -> None:
    """Refuse a tokenizer whose ids, from data or template, go beyond its model's table."""
    tables = model_tables(config)
    if tables is None:
        return
    controls = frozenset(find_markers(tokenizer).values())
    words = (index for index in tokenizer.get_vocab().values() if index not in controls)
    largest = max(*words, *Segmenter(tokenizer, template).fixed_ids)
    if largest >= tables.vocabulary:
        raise RecipeError(
            f"the tokenizer gives token ids up to {largest}, but the model's table has"
            f" {tables.vocabulary} rows (ids up to {tables.vocabulary - 1})",
            "tokenizer and weights do not belong together: take both from one model",
        )
