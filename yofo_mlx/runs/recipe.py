"""The recipe of a run: every name in it looked up, the shape of what it begins with filled in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yofo_mlx.recipe.file import apply_override, read_toml, validate
from yofo_mlx.recipe.names import absolute
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.init_adapter import find_adapter, shape_of


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and validate a recipe file with `section.key=value` overrides on top."""
    return resolve(read_toml(path), str(path), path.parent, overrides)


def resolve(
    data: dict[str, Any], place: str, folder: Path | None, overrides: Sequence[str] = ()
) -> Recipe:
    """Validate parsed TOML with overrides on top, and write down once what its names stand for.

    Paths are relative to the recipe's folder, else to the current one; an override's the other way
    round. A folder that is there is a model before an id on the hub is. What is relative afterwards
    is an id, wherever the recipe is used: without `folder` this was done before, and only what the
    overrides name is looked up.
    """
    given = [apply_override(data, override) for override in overrides]
    recipe = validate(data, place)

    def find(name: str, key: str) -> str:
        starts = [folder, Path.cwd()] if folder else []
        is_given = any(f"{key}.".startswith(f"{one}.") for one in given)
        return absolute(name, [Path.cwd(), *starts] if is_given else starts)

    tasks = tuple(
        task.model_copy(update={"source": find(task.source, f"tasks.{index}.source")})
        for index, task in enumerate(recipe.tasks)
    )
    found: dict[str, Any] = {"tasks": tasks, "model": find(recipe.model, "model")}
    if recipe.init_adapter and (folder or "init_adapter" in given):
        adapter = find_adapter(recipe.init_adapter, find(recipe.init_adapter, "init_adapter"))
        lora = shape_of(adapter, recipe.lora)
        found |= {"init_adapter": str(adapter.absolute()), "lora": lora}
    return recipe.model_copy(update=found)
