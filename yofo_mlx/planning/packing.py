"""Whether a recipe's episodes can be packed in rows, by what its model is."""

from typing import Any

from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.trained import Note


def settled(recipe: Recipe, config: dict[str, Any]) -> tuple[Recipe, list[Note]]:
    """Return a recipe as a model of a configuration can be trained with it.

    Episodes that it would not keep apart are read in padded rows, and a note says so.
    """
    if not recipe.train.packed:
        return recipe, []
    from yofo_mlx.gradients.exactness import packing_refusal  # MLX: others need none

    why = packing_refusal(config, recipe.lora)
    if not why:
        return recipe, []
    padded = recipe.train.model_copy(update={"packed": False})
    kind = config.get("model_type", "this architecture")
    message = f"train.packed: {kind} cannot keep the episodes of a row apart: {why}"
    hint = "they are read in rows of like length, with padding; the gradients are the same"
    return recipe.model_copy(update={"train": padded}), [(message, hint)]
