"""Code of mlx-lm's that is replaced while a model is differentiated: the same, in less memory.

Gemma 2 and Gear cap their scores smoothly between two matrix products, which MLX's attention does
not know: they get the capped attention of `attention.py`, with whatever stands for MLX's attention
at the call. Kimi K3's layers write into one common object what each block of them begins with; here
that goes from layer to layer with x.

LoRA's weights are in float32. In half precision autograd keeps, of the input of every adapted
layer, a float32 copy from the way forward to the way back: as much as all else that it keeps. Here
it is made again on the way back.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx


def _attend(q: mx.array, k: mx.array, v: mx.array, **options: Any) -> mx.array:
    attention: Any = mx.fast.scaled_dot_product_attention
    result: mx.array = attention(q, k, v, **options)
    return result


def _gemma2(self: Any, x: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
    """Do what Gemma 2's attention does, (B, L, D) -> (B, L, D)."""

    def heads(projected: mx.array) -> mx.array:
        return projected.reshape(*x.shape[:2], -1, self.head_dim).swapaxes(1, 2)

    offset = cache.offset if cache is not None else 0
    q = self.rope(heads(self.q_proj(x)), offset=offset)
    k = self.rope(heads(self.k_proj(x)), offset=offset)
    v = heads(self.v_proj(x))
    if cache is not None:
        k, v = cache.update_and_fetch(k, v)
    # The model's mask is the causal one, as an array: said so, it costs nothing.
    causal = None if mask is None else "causal"
    output = _attend(q, k, v, scale=self.scale, mask=causal, cap=self.attn_logit_softcapping)
    result: mx.array = self.o_proj(output.swapaxes(1, 2).flatten(2))
    return result


def _gear(
    q: mx.array, k: mx.array, v: mx.array, scale: float, softcap: float, mask: Any
) -> mx.array:
    """Do what Gear's capped attention does."""
    return _attend(q, k, v, scale=scale, mask=mask, cap=softcap)


def _kimi_k3_layer(
    self: Any, x: mx.array, mask: Any = None, cache: Any = None, blocks: float | None = None
) -> tuple[mx.array, float | None]:
    """Do what Kimi K3's layer does; with residuals, what its blocks keep comes with x, (S, ...)."""
    if blocks is None:
        h = x + self.self_attn(self.input_layernorm(x), mask, cache)
        return h + self.mlp(self.post_attention_layernorm(h)), blocks

    def mixed(streams: mx.array, norm: Any, projection: Any) -> mx.array:
        weights = norm.weight.astype(mx.float32) * projection.weight.reshape(-1)
        return _kimi_k3_mix(blocks, streams, weights, self.eps)

    streams = x if x.ndim == 4 else x[None]  # (B, L, D) of the first layer
    h = mixed(streams, self.self_attention_res_norm, self.self_attention_res_proj)
    y = self.self_attn(self.input_layernorm(h), mask, cache)
    if self.is_block_start:
        streams = mx.concatenate([streams, y[None]])
    else:
        streams = mx.concatenate([streams[:-1], streams[-1:] + y])
    h = mixed(streams, self.mlp_res_norm, self.mlp_res_proj)
    y = self.mlp(self.post_attention_layernorm(h))
    return mx.concatenate([streams[:-1], streams[-1:] + y]), blocks


def _kimi_k3_mix(_: Any, streams: mx.array, weights: mx.array, eps: float, *__: Any) -> mx.array:
    """Mix what blocks have kept with the sum so far, the last of them, (S, B, L, D)."""
    kept = streams[:-1]
    if not len(kept):
        return streams[-1]
    squares = mx.square(kept.astype(mx.float32)).mean(axis=-1)
    combine: Any = sys.modules["mlx_lm.models.kimi_k3"]._attn_res_combine
    mixed: mx.array = combine(kept, mx.rsqrt(squares + eps), streams[-1], weights, eps)
    return mixed


@mx.custom_function
def _narrowed(x: mx.array, weights: mx.array) -> mx.array:
    return x @ weights


@_narrowed.vjp
def _narrowed_vjp(
    primals: tuple[mx.array, mx.array], cotangent: mx.array, output: mx.array
) -> tuple[mx.array, mx.array]:
    """Return the cotangents of x (..., D) and weights (D, r)."""
    x, weights = primals
    rows = x.reshape(-1, x.shape[-1]).astype(cotangent.dtype)
    d_weights = rows.T @ cotangent.reshape(-1, cotangent.shape[-1])
    return (cotangent @ weights.T).astype(x.dtype), d_weights.astype(weights.dtype)


def _lora(self: Any, x: mx.array) -> mx.array:
    """Do what mlx-lm's LoRALinear does."""
    narrow: Any = _narrowed(self.dropout(x), self.lora_a)
    y: mx.array = self.linear(x) + (self.scale * (narrow @ self.lora_b)).astype(x.dtype)
    return y


# Module, path of the function in it, what takes its place.
REPLACED: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("mlx_lm.models.gemma2", "Attention.__call__", _gemma2),
    ("mlx_lm.models.gear", "_softcap_attention", _gear),
    ("mlx_lm.models.kimi_k3", "ResidualBlocks", float),  # what is left of them: an epsilon
    ("mlx_lm.models.kimi_k3", "KimiK3DecoderLayer.__call__", _kimi_k3_layer),
    ("mlx_lm.models.kimi_k3", "_attn_res_mix", _kimi_k3_mix),
    ("mlx_lm.tuner.lora", "LoRALinear.__call__", _lora),
)


@contextmanager
def own_code_replaced() -> Iterator[None]:
    """Let the models that are loaded run what is here in the place of their own code."""
    undo = []
    for module, path, other in REPLACED:
        *parents, name = path.split(".")
        owner: Any = sys.modules.get(module)
        for parent in parents:
            owner = getattr(owner, parent, None)
        if owner is not None:
            undo.append((owner, name, getattr(owner, name)))
            setattr(owner, name, other)
    try:
        yield
    finally:
        for owner, name, original in undo:
            setattr(owner, name, original)
