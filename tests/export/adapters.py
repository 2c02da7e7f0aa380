"""Adapters that change what a model says, without a training."""

from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map_with_path

from yofo_mlx.models.adapters import add_adapter, save_adapter
from yofo_mlx.models.base import load_base
from yofo_mlx.recipe.schema import Lora


def random_adapter(folder: Path, base: str = "tiny", **shape: Any) -> Path:
    """Write an adapter of random halves for a base model, by default of rank 3."""
    model = load_base(base).model
    lora = Lora(**{"rank": 3, "scale": 4.0} | shape)
    mx.random.seed(3)
    add_adapter(model, lora)
    drawn = tree_map_with_path(
        lambda name, array: (
            array
            if name.endswith(("lora_a", ".m"))
            else array + mx.random.normal(array.shape) * 0.05
        ),
        model.trainable_parameters(),
    )
    model.update(drawn)
    folder.mkdir(parents=True, exist_ok=True)
    save_adapter(folder, model, lora, base)
    return folder
