"""Tiny random models of the architectures that mlx-lm ships."""

import importlib
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map

from tests.architectures.dense import DENSE
from tests.architectures.mixtures import MIXTURES
from tests.architectures.parts import SHAPE
from tests.architectures.stateful import STATEFUL
from tests.architectures.wrapped import WRAPPED

CONFIGS = DENSE | MIXTURES | STATEFUL | WRAPPED


def tiny_model(name: str, **others: Any) -> Any:
    """Return a model of CONFIGS: float32, seeded, and no parameter without randomness.

    `others` are values of its configuration that differ.
    """
    model_type = name.split("+")[0]
    module = importlib.import_module(f"mlx_lm.models.{model_type}")
    config = SHAPE | {"model_type": model_type} | CONFIGS[name] | others
    mx.random.seed(0)
    model = module.Model(module.ModelArgs.from_dict(config))
    model.set_dtype(mx.float32)
    model.update(tree_map(_random_if_constant, model.parameters()))
    mx.eval(model.parameters())
    return model


def _random_if_constant(array: mx.array) -> mx.array:
    """Return something else for biases, sinks and norms, which begin as zeros or ones."""
    if not mx.issubdtype(array.dtype, mx.floating) or (array != array.reshape(-1)[0]).any().item():
        return array
    return array + mx.random.normal(array.shape) * 0.1
