"""What speaks against how a run begins: its type, an adapter that was trained before."""

from collections.abc import Iterator
from pathlib import Path

from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.models.adapter_files import read_settings
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.template import TEMPLATE_FILE, kept_template
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.environment import on_cpu


def check_fits(recipe: Recipe) -> None:
    """Refuse an adapter that the recipe's model cannot begin with; no weights are loaded."""
    if recipe.init_adapter is None:
        return
    from yofo_mlx.models.adapters import check_shapes
    from yofo_mlx.models.base import model_config, model_path
    from yofo_mlx.planning.sizes import adapter_shapes

    config = model_config(model_path(recipe.model, recipe.revision, weights=False))
    try:
        if shapes := adapter_shapes(config, recipe.lora):
            check_shapes(Path(recipe.init_adapter), shapes)
    except RunError as error:
        raise RecipeError(f"init_adapter: {error.message}", error.hint) from error


def doubts(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield what speaks against beginning so, as message and hint."""
    if recipe.dtype in ("bfloat16", "float16") and on_cpu():
        words = "leave `dtype` out: float32 is exacter, too"
        yield f"on a CPU {recipe.dtype} takes many times as long as float32", words
    if recipe.init_adapter is None:
        return
    folder = Path(recipe.init_adapter)
    base = read_settings(folder).base
    if base and base != recipe.model and not _is_base(folder, recipe):
        message = f"the adapter in {folder} was trained on {base}, this run's model is"
        yield f"{message} {recipe.model}", "on another model it may know nothing"
    if (folder / TEMPLATE_FILE).is_file() and kept_template(folder) != recipe.template:
        message = f"the adapter in {folder} was trained with another template"
        yield message, f"its own is in {folder / TEMPLATE_FILE}: put it into [template]"


def _is_base(folder: Path, recipe: Recipe) -> bool:
    """Tell whether a run's adapter was trained on the very files of a recipe's model."""
    from yofo_mlx.models.base import model_path
    from yofo_mlx.prompting.fingerprint import model_fingerprint

    model = Run(folder.parent).info().model
    if model is None or not model.fingerprint:
        return False
    here = model_path(recipe.model, recipe.revision, weights=False)
    return model.fingerprint == model_fingerprint(here)
