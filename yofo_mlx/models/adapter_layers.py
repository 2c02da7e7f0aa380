"""Adapter layers that mlx-lm has not: (IA)3, BitFit, bottlenecks. Fresh ones change nothing.

    ia3         l * (W x) of keys and values, W (l * x) of a feed-forward unit's last layer, with
                l = 1 at first (Liu and others, arXiv 2205.05638)
    bitfit      the biases that layers have (Ben Zaken and others, arXiv 2106.10199)
    bottleneck  y + scale * gelu(y D) U behind attention and feed-forward units, with U = 0 at first
                (Houlsby and others, arXiv 1902.00751)

Those of mlx-lm, LoRA and DoRA, are put on by mlx-lm. `KINDS` names what there is.
"""

import math
from functools import cache
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_unflatten
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear

from yofo_mlx.models.layer_names import (
    ENDS_OF_ATTENTION,
    KEYS_AND_VALUES,
    ends_feed_forward,
    last_part,
)
from yofo_mlx.recipe.schema import Lora

LINEAR = (nn.Linear, nn.QuantizedLinear, SwitchLinear, QuantizedSwitchLinear)
PACKING = ("group_size", "bits", "mode")


class Scaled(nn.Module):
    """(IA)3: a linear layer whose outputs, or inputs, are multiplied one by one."""

    def __init__(self, linear: Any, name: str, lora: Lora) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.linear = linear
        self.on_input = ends_feed_forward(name)
        self.ia3 = mx.ones(_sizes(linear)[0 if self.on_input else 1])

    def __call__(self, x: mx.array, *args: Any, **kwargs: Any) -> mx.array:
        """Return the layer's outputs, scaled."""
        if self.on_input:
            x = x * self.ia3.astype(x.dtype)
        y: mx.array = self.linear(x, *args, **kwargs)
        return y if self.on_input else y * self.ia3.astype(y.dtype)

    def fuse(self, dequantize: bool = False) -> Any:
        """Return one layer that does the same."""
        linear, is_packed = self.linear, "scales" in self.linear
        packing = {name: getattr(linear, name) for name in PACKING} if is_packed else {}
        weight = linear.weight
        if is_packed:
            weight = mx.dequantize(weight, linear.scales, linear.get("biases"), **packing)
        made = nn.Linear(1, 1, False) if weight.ndim == 2 else SwitchLinear(1, 1, 1, False)
        scale = self.ia3 if self.on_input else self.ia3[:, None]
        made.weight = (weight * scale).astype(weight.dtype)
        if "bias" in linear:
            bias = linear.bias if self.on_input else linear.bias * self.ia3
            made.bias = bias.astype(linear.bias.dtype)
        return made.to_quantized(**packing) if is_packed and not dequantize else made


class Bottleneck(nn.Module):
    """A narrow layer behind a linear one, added to what that gives."""

    def __init__(self, linear: Any, name: str, lora: Lora) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.linear = linear
        self.scale = lora.scale
        self.dropout = nn.Dropout(p=lora.dropout)
        outputs = _sizes(linear)[1]
        bound = 1 / math.sqrt(outputs)
        self.adapter_down = mx.random.uniform(-bound, bound, (outputs, lora.rank))
        self.adapter_up = mx.zeros((lora.rank, outputs))

    def __call__(self, x: mx.array, *args: Any, **kwargs: Any) -> mx.array:
        """Return the layer's outputs and what the narrow one makes of them."""
        y: mx.array = self.linear(x, *args, **kwargs)
        z: mx.array = nn.gelu_approx(self.dropout(y) @ self.adapter_down) @ self.adapter_up
        return y + (self.scale * z).astype(y.dtype)


class _OwnBias:
    """Before a layer's class: its bias is in float32 and its own, all else is the layer's."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> mx.array:
        """Compute as the layer does, in its precision."""
        own = self["bias"]
        self["bias"] = own.astype(self.bias_dtype)
        try:
            y: mx.array = super().__call__(*args, **kwargs)  # type: ignore[misc]
        finally:
            self["bias"] = own
        return y

    def fuse(self: Any, dequantize: bool = False) -> Any:
        """Return a layer of the usual kind."""
        made = _copied(self, type(self).__mro__[2])
        made["bias"] = self.bias.astype(self.bias_dtype)
        return made


def _with_own_bias(layer: Any, name: str, lora: Lora) -> Any:
    made = _copied(layer, _own_bias_class(type(layer)))  # type: ignore[arg-type]
    made.bias_dtype = layer.bias.dtype
    made["bias"] = layer.bias.astype(mx.float32)
    vars(made)["_no_grad"] = set(layer) - {"bias"}
    return made


@cache
def _own_bias_class(kind: Any) -> Any:
    return type(f"OwnBias{kind.__name__}", (_OwnBias, kind), {})


def _copied(layer: Any, kind: Any) -> Any:
    """Return a layer with the same arrays, which are not held twice, and settings."""
    made: Any = kind.__new__(kind)
    vars(made).update(vars(layer))
    dict.update(made, layer)
    return made


# How each kind is put around a layer, and the names of its arrays.
KINDS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "ia3": (Scaled, ("ia3",)),
    "bitfit": (_with_own_bias, ("bias",)),
    "bottleneck": (Bottleneck, ("adapter_down", "adapter_up")),
}


Place = tuple[Any, str, Any]  # a layer of the model, the name of a module in it, the module


def places(model: Any, lora: Lora) -> list[Place]:
    """Return the modules that one of the KINDS of adapters is put on."""
    layers = model.layers[-max(lora.num_layers, 0) :]
    inside = [(layer, name, one) for layer in layers for name, one in layer.named_modules()]
    found = [place for place in inside if _fits(place[1], place[2], lora)]
    if lora.fine_tune_type == "ia3" and not lora.keys:
        parts = {last_part(name) for _, name, _ in found}
        return found if parts >= KEYS_AND_VALUES else []  # half of it would be another method
    return found


def attach(model: Any, lora: Lora) -> list[str]:
    """Put a fresh adapter of one of the KINDS on a frozen model; return the names of its arrays."""
    make, leaves = KINDS[lora.fine_tune_type]
    prefixes = {id(module): name for name, module in model.named_modules()}
    names = []
    for layer, name, module in places(model, lora):
        layer.update_modules(tree_unflatten([(name, make(module, name, lora))]))
        names += [f"{prefixes[id(layer)]}.{name}.{leaf}" for leaf in leaves]
    return names


def _fits(name: str, module: Any, lora: Lora) -> bool:
    """Tell whether a kind of adapter is put on a module of a layer."""
    if lora.keys and name not in lora.keys:
        return False
    if lora.fine_tune_type == "bitfit":
        return isinstance(module.get("bias"), mx.array)
    if not isinstance(module, LINEAR):
        return False
    first = KEYS_AND_VALUES if lora.fine_tune_type == "ia3" else ENDS_OF_ATTENTION
    return bool(lora.keys) or last_part(name) in first or ends_feed_forward(name)


def _sizes(linear: Any) -> tuple[int, int]:
    """Return how many inputs and outputs a linear layer has, quantized or not."""
    outputs, inputs = linear.weight.shape[-2:]
    return (inputs * 32 // linear.bits if "scales" in linear else inputs), outputs
