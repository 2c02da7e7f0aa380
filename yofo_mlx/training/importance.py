"""AdamW whose updates are weighted by importance: SPIDER (arXiv 2411.10928), for LoRA.

An output of an adapted layer moves away from the base only where this run's gradients weigh more
than the base's weights do, both compared with the layer's other outputs:

    def important(sizes):                         # of each output of a layer, (N,)
        return sigmoid((sizes - mean(sizes)) / std(sizes))
    def shares(weights, gradients):               # mean sizes of each output's numbers, (N,)
        base, own = important(weights), important(gradients)
        found = where(own > base, own / (own + base), 0)
        return minimum(found / mean(found[found > 0]), 1)

`gradients` are those of `lora_b`, summed over all updates so far. After each update of AdamW what
`lora_b` has of an output is multiplied by its share: at 0 this output is the base's own.
"""

from typing import Any

import mlx.core as mx
import mlx.optimizers as optim

from yofo_mlx.recipe.schema import Optimizer

LEAST = 1e-12  # of a deviation: of outputs that are all alike none is more important


def optimizer_of(settings: Optimizer, model: Any) -> optim.AdamW:
    """Return the optimizer that a recipe asks for; every step sets its own rate."""
    usual: dict[str, Any] = {
        "betas": list(settings.betas),
        "eps": settings.eps,
        "weight_decay": settings.weight_decay,
        "bias_correction": True,
    }
    if settings.importance:
        return _Important(model, learning_rate=0.0, **usual)
    return optim.AdamW(learning_rate=0.0, **usual)


class _Important(optim.AdamW):
    """AdamW for a model's LoRA; what it compares is part of its state."""

    def __init__(self, model: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self._model = model

    def init(self, parameters: dict[str, Any]) -> None:
        """Begin with what is not in the state yet."""
        super().init(parameters)
        for name, module in self._model.named_modules():
            if "lora_b" not in module:
                continue
            state: Any = self.state
            for part in name.split("."):
                state = state[int(part) if isinstance(state, list) else part]
            state = state["lora_b"]
            if "base" not in state:
                state["base"] = _important(_weights(module))
                state["gradients"] = mx.zeros(module.lora_b.shape)
                mx.eval(state["base"])  # one layer's weights at a time

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """Return a parameter after its update."""
        updated: mx.array = super().apply_single(gradient, parameter, state)
        if "base" not in state:
            return updated
        state["gradients"] = state["gradients"] + gradient
        sizes = mx.abs(state["gradients"]).mean(axis=_rank(updated), keepdims=True)
        return updated * _shares(state["base"], _important(sizes)).astype(updated.dtype)


def _rank(lora_b: mx.array) -> int:
    """Return which axis is no output: (R, N), or (E, N, R) of experts."""
    return -1 if lora_b.ndim == 3 else 0


def _weights(module: Any) -> mx.array:
    """Return the mean size of each output's weights, (1, N), or (E, N, 1) of experts."""
    is_table = "embedding" in module
    inner = module.embedding if is_table else module.linear
    weight = inner.weight
    if "scales" in inner:
        how = {"group_size": inner.group_size, "bits": inner.bits, "mode": inner.mode}
        weight = mx.dequantize(weight, inner.scales, inner.get("biases"), **how)
    sizes = mx.abs(weight.astype(mx.float32)).mean(axis=0 if is_table else -1, keepdims=True)
    return sizes if is_table or sizes.ndim == 3 else sizes.T


def _important(sizes: mx.array) -> mx.array:
    return mx.sigmoid((sizes - sizes.mean()) / mx.maximum(sizes.std(), LEAST))


def _shares(base: mx.array, own: mx.array) -> mx.array:
    found = mx.where(own > base, own / (own + base), 0.0)
    mean = found.sum() / mx.maximum((found > 0).sum(), 1)
    return mx.minimum(found / mx.maximum(mean, LEAST), 1.0)
