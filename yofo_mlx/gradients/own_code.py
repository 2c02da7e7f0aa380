"""Code of mlx-lm's that is replaced while a model is differentiated: the same, in less memory.

Gemma 2 and Gear cap their scores smoothly between two matrix products, which MLX's attention does
not know: they get the capped attention of `attention.py`, with whatever stands for MLX's attention
at the call.

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
REPLACED: tuple[tuple[str, str, Callable[..., mx.array]], ...] = (
    ("mlx_lm.models.gemma2", "Attention.__call__", _gemma2),
    ("mlx_lm.models.gear", "_softcap_attention", _gear),
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
