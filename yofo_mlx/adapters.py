"""LoRA adapters in mlx-lm's file format."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.tuner.utils import load_adapters as mlx_lm_load

from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.recipe import Lora

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapters.safetensors"


def check_adapter(model: Any, lora: Lora) -> None:
    """Refuse an adapter that the model cannot carry."""
    keys = sorted({key for layer in model.layers for key, _ in layer.named_modules()})
    if unknown := sorted(set(lora.keys or ()) - set(keys)):
        raise RecipeError(
            f"lora.keys: the model's layers have no {', '.join(unknown)}",
            "there are: " + ", ".join(key for key in keys if "proj" in key or "." in key)[:400],
        )
    if lora.num_layers > len(model.layers):
        raise RecipeError(
            f"lora.num_layers is {lora.num_layers}, but the model has {len(model.layers)} layers",
            "give fewer, or -1 for all",
        )


def add_adapter(model: Any, lora: Lora) -> None:
    """Freeze a model and put a fresh adapter on it; uses MLX's random state."""
    check_adapter(model, lora)
    model.freeze()
    try:
        linear_to_lora_layers(
            model, lora.num_layers, parameters(lora), use_dora=lora.fine_tune_type == "dora"
        )
    except ValueError as error:
        raise RecipeError(f"lora: {error}", "name layers it can adapt in lora.keys") from error
    mx.eval(model.trainable_parameters())
    for name, array in adapter_weights(model).items():
        if name.endswith(".m") and not array.all().item():
            raise RecipeError(
                f"DoRA cannot adapt {name.removesuffix('.m')}: it has rows of zeros",
                'leave such layers out of lora.keys, or set lora.fine_tune_type = "lora"',
            )


def parameters(lora: Lora) -> dict[str, Any]:
    """Return mlx-lm's `lora_parameters`."""
    values = {"rank": lora.rank, "scale": lora.scale, "dropout": lora.dropout}
    return values | ({"keys": list(lora.keys)} if lora.keys else {})


def save_adapter(folder: Path, model: Any, lora: Lora, base: str) -> None:
    """Write the adapter on `model` into an existing folder."""
    weights = dict(tree_flatten(model.trainable_parameters()))
    mx.save_safetensors(str(folder / WEIGHTS_FILE), weights)
    config = {
        "model": base,
        "fine_tune_type": lora.fine_tune_type,
        "num_layers": lora.num_layers,
        "lora_parameters": parameters(lora),
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_adapter(model: Any, folder: Path) -> None:
    """Put a saved adapter on a base model."""
    if not (folder / WEIGHTS_FILE).is_file() or not (folder / CONFIG_FILE).is_file():
        raise RunError(
            f"there is no adapter in {folder}",
            f"an adapter is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}",
        )
    try:
        mlx_lm_load(model, str(folder))
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise RunError(
            f"the adapter in {folder} does not fit the model: {str(error).splitlines()[0]}",
            "use the base model it was trained on",
        ) from error
    mx.eval(model.parameters())


def adapter_weights(model: Any) -> dict[str, mx.array]:
    """Return the adapter's arrays by name."""
    return dict(tree_flatten(model.trainable_parameters()))
