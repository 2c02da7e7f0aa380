"""A llama forward pass for pre-training on a CPU, equal to mlx-lm's and about three times faster.

MLX's exp takes about 20 ns an element on x86 and dominates a tiny model; here softmax, SiLU and
log-sum-exp go through a polynomial, and causal attention skips the tiles above the diagonal.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import mlx.core as mx

LOG2_E = 1.4426950408889634
ROUNDER = 12582912.0  # 1.5 * 2**23: adding it leaves the nearest integer in the low mantissa bits
TILE = 128  # query rows of one attention tile
CACHED = 1 << 18  # elements of a tile that still fits the processor's cache

Weights = Mapping[str, mx.array]
Arrays = tuple[mx.array, ...]


@dataclass(frozen=True)
class Shape:
    """Sizes of the network, named as in config.json."""

    hidden_size: int = 128
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    intermediate_size: int = 352
    vocab_size: int = 1280
    rope_theta: float = 500000.0  # slow rotations, so that content matches over hundreds of tokens
    rms_norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Return the width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    def config(self, bos: int, eos: int) -> dict[str, object]:
        """Return what belongs in config.json for mlx-lm and transformers."""
        return {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            **asdict(self),
            "head_dim": self.head_dim,
            "num_key_value_heads": self.num_attention_heads,
            "max_position_embeddings": 1024,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "bos_token_id": bos,
            "eos_token_id": eos,
        }


def exp2(x: mx.array) -> mx.array:
    """Return 2**x within 6e-5, for x in [-60, 60]; carries no gradient."""
    shifted = x + ROUNDER
    fraction = x - (shifted - ROUNDER)
    value = fraction * 0.009618129 + 0.055504109
    value = value * fraction + 0.240226507
    value = value * fraction + 0.693147181
    value = value * fraction + 1.0
    return (value.view(mx.int32) + (shifted.view(mx.int32) << 23)).view(mx.float32)


@mx.custom_function
def _silu(x: mx.array) -> tuple[mx.array, mx.array]:
    sigmoid = 1.0 / (1.0 + exp2(mx.clip(x * -LOG2_E, -60.0, 60.0)))
    return x * sigmoid, sigmoid


@_silu.vjp
def _silu_vjp(
    x: mx.array, cotangents: tuple[mx.array, mx.array], outputs: tuple[mx.array, mx.array]
) -> mx.array:
    value, sigmoid = outputs
    return cotangents[0] * (sigmoid + value * (1.0 - sigmoid))


def silu(x: mx.array) -> mx.array:
    """Return x * sigmoid(x)."""
    return cast(Arrays, _silu(x))[0]


@mx.custom_function
def _attend_tile(q: mx.array, k: mx.array, v: mx.array, mask: mx.array) -> Arrays:
    # q is scaled to base 2; mask (tile, keys) is one where a query sees a key.
    scores = q @ k.swapaxes(-1, -2)  # (B, H, tile, keys)
    scores = mx.maximum(scores - scores.max(axis=-1, keepdims=True), -60.0)
    weights = exp2(scores) * mask
    total = weights.sum(axis=-1, keepdims=True)
    return (weights @ v) / total, weights, total


@_attend_tile.vjp
def _attend_tile_vjp(primals: Arrays, cotangents: Arrays, outputs: Arrays) -> Arrays:
    q, k, v, mask = primals
    output, weights, total = outputs
    d_output = cotangents[0]
    scaled = d_output / total
    mean = (scaled * output).sum(axis=-1, keepdims=True)
    d_scores = weights * (scaled @ v.swapaxes(-1, -2) - mean)  # natural units; q carries log2(e)
    d_q = (d_scores @ k) * (1 / LOG2_E)
    d_k = (d_scores.swapaxes(-1, -2) @ q) * (1 / LOG2_E)
    return d_q, d_k, weights.swapaxes(-1, -2) @ scaled, mx.zeros_like(mask)


def attend_tile(q: mx.array, k: mx.array, v: mx.array, mask: mx.array) -> mx.array:
    """Attend q, scaled to base 2, to the keys where mask (tile, keys) is one."""
    return cast(Arrays, _attend_tile(q, k, v, mask))[0]


def attend(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """Causal attention over (B, H, L, E), a tile of query rows at a time."""
    length, tiles = q.shape[2], []
    q = q * (LOG2_E * q.shape[-1] ** -0.5)
    for start in range(0, length, TILE):
        stop = min(start + TILE, length)
        mask = (mx.arange(start, stop)[:, None] >= mx.arange(stop)).astype(mx.float32)
        group = max(1, CACHED // (q.shape[1] * TILE * stop))  # sequences at a time
        rows = [
            attend_tile(
                q[some : some + group, :, start:stop],
                k[some : some + group, :, :stop],
                v[some : some + group, :, :stop],
                mask,
            )
            for some in range(0, q.shape[0], group)
        ]
        tiles.append(mx.concatenate(rows))
    return mx.concatenate(tiles, axis=2)


def block(weights: Weights, shape: Shape, layer: int, x: mx.array) -> mx.array:
    """Run one llama layer over x of shape (B, L, D)."""

    def linear(name: str, value: mx.array) -> mx.array:
        return value @ weights[f"model.layers.{layer}.{name}.weight"].T

    def norm(name: str, value: mx.array) -> mx.array:
        weight = weights[f"model.layers.{layer}.{name}.weight"]
        return mx.fast.rms_norm(value, weight, shape.rms_norm_eps)

    def heads(name: str) -> mx.array:
        split = linear(name, normed).reshape(*x.shape[:2], -1, shape.head_dim)
        return split.transpose(0, 2, 1, 3)

    def turn(value: mx.array) -> mx.array:
        return mx.fast.rope(
            value, shape.head_dim, traditional=False, base=shape.rope_theta, scale=1.0, offset=0
        )

    normed = norm("input_layernorm", x)
    mixed = attend(
        turn(heads("self_attn.q_proj")), turn(heads("self_attn.k_proj")), heads("self_attn.v_proj")
    )
    x = x + linear("self_attn.o_proj", mixed.transpose(0, 2, 1, 3).reshape(x.shape))
    normed = norm("post_attention_layernorm", x)
    return x + linear(
        "mlp.down_proj", silu(linear("mlp.gate_proj", normed)) * linear("mlp.up_proj", normed)
    )


def logits(weights: Weights, shape: Shape, tokens: mx.array) -> mx.array:
    """Return logits (B, L, V) for tokens (B, L)."""
    table = weights["model.embed_tokens.weight"]
    x = table[tokens]
    for layer in range(shape.num_hidden_layers):
        x = block(weights, shape, layer, x)
    return mx.fast.rms_norm(x, weights["model.norm.weight"], shape.rms_norm_eps) @ table.T


@mx.custom_function
def _cross_entropy(scores: mx.array, targets: mx.array) -> tuple[mx.array, mx.array]:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    weights = exp2(mx.maximum(shifted * LOG2_E, -60.0))
    total = weights.sum(axis=-1, keepdims=True)
    chosen = mx.take_along_axis(shifted, targets[..., None], axis=-1)
    return (mx.log(total) - chosen)[..., 0], weights / total


@_cross_entropy.vjp
def _cross_entropy_vjp(
    primals: tuple[mx.array, mx.array],
    cotangents: tuple[mx.array, mx.array],
    outputs: tuple[mx.array, mx.array],
) -> tuple[mx.array, mx.array]:
    targets = primals[1]
    index = targets[..., None]
    wanted = mx.take_along_axis(outputs[1], index, axis=-1) - 1.0
    d_scores = mx.put_along_axis(outputs[1], index, wanted, axis=-1)
    return d_scores * cotangents[0][..., None], mx.zeros_like(targets)


def cross_entropy(scores: mx.array, targets: mx.array) -> mx.array:
    """Return the loss in nats of every position, (B, L), from scores (B, L, V)."""
    return cast(Arrays, _cross_entropy(scores, targets))[0]
