"""The type that a model computes in."""

from typing import Any

import mlx.core as mx
from mlx.utils import tree_map_with_path

from yofo_mlx.recipe.schema import Dtype
from yofo_mlx.system.environment import on_cpu


def computing_type(asked: Dtype) -> mx.Dtype | None:
    """Return the type that a model's floats are loaded in, None for that of its files."""
    if asked != "auto":
        chosen: mx.Dtype = getattr(mx, asked)
        return chosen
    return mx.float32 if on_cpu() else None  # half precision is slow on a CPU


def cast(model: Any, asked: Dtype) -> None:
    """Let a model compute in the type asked for; what it needs in float32 stays that."""
    dtype = computing_type(asked)
    if dtype is None:
        return
    if dtype == mx.float32:
        model.set_dtype(dtype)
        return
    # mlx-lm's converter asks the same of a model: some states cannot be had in half precision.
    may_change = getattr(model, "cast_predicate", lambda _: True)

    def halved(name: str, array: mx.array) -> mx.array:
        is_float = mx.issubdtype(array.dtype, mx.floating)
        return array.astype(dtype) if is_float and may_change(name) else array

    model.update(tree_map_with_path(halved, model.parameters()))
