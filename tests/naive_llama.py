"""A llama with LoRA in NumPy float64, written as its definition reads: the oracle of numerics."""

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import numpy.typing as npt
from mlx.utils import tree_flatten

Floats = npt.NDArray[np.float64]
Weights = dict[str, Floats]


def weights_of(model: nn.Module) -> Weights:
    """Return a model's parameters in float64."""
    return {
        name: np.array(array.astype(mx.float32), dtype=np.float64)
        for name, array in tree_flatten(model.parameters())
    }


def forward(weights: Weights, args: Any, tokens: list[int], scale: float) -> Floats:
    """Return the logits (L, V) of one sequence; `scale` is LoRA's."""
    hidden = weights["model.embed_tokens.weight"][tokens]
    for index in range(args.num_hidden_layers):
        layer = f"model.layers.{index}"

        def linear(x: Floats, name: str, layer: str = layer) -> Floats:
            return _linear(weights, f"{layer}.{name}", x, scale)

        x = _norm(hidden, weights[f"{layer}.input_layernorm.weight"], args)
        heads = [_heads(linear(x, f"self_attn.{p}_proj"), args) for p in "qkv"]
        hidden = hidden + linear(_attention(*heads, args), "self_attn.o_proj")
        x = _norm(hidden, weights[f"{layer}.post_attention_layernorm.weight"], args)
        gate = linear(x, "mlp.gate_proj")
        inner = gate / (1 + np.exp(-gate)) * linear(x, "mlp.up_proj")
        hidden = hidden + linear(inner, "mlp.down_proj")
    hidden = _norm(hidden, weights["model.norm.weight"], args)
    return hidden @ weights["lm_head.weight"].T


def _linear(weights: Weights, name: str, x: Floats, scale: float) -> Floats:
    if f"{name}.lora_a" not in weights:
        return x @ weights[f"{name}.weight"].T
    update = x @ weights[f"{name}.lora_a"] @ weights[f"{name}.lora_b"]
    return x @ weights[f"{name}.linear.weight"].T + scale * update


def _norm(x: Floats, weight: Floats, args: Any) -> Floats:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + args.rms_norm_eps) * weight


def _heads(x: Floats, args: Any) -> Floats:
    """Split (L, H * D) into (H, L, D)."""
    size = args.hidden_size // args.num_attention_heads
    return x.reshape(len(x), -1, size).swapaxes(0, 1)


def _rotate(x: Floats, args: Any) -> Floats:
    half = x.shape[-1] // 2
    angles = np.arange(x.shape[1])[:, None] * args.rope_theta ** (-np.arange(half) / half)
    cos, sin, one, two = np.cos(angles), np.sin(angles), x[..., :half], x[..., half:]
    return np.concatenate([one * cos - two * sin, one * sin + two * cos], axis=-1)


def _attention(q: Floats, k: Floats, v: Floats, args: Any) -> Floats:
    groups = len(q) // len(k)
    q, k, v = _rotate(q, args), _rotate(k, args).repeat(groups, 0), v.repeat(groups, 0)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
    scores = np.where(np.tri(q.shape[1], dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return (shares @ v).swapaxes(0, 1).reshape(q.shape[1], -1)
