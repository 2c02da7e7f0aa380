"""Attentions that models compute in their own code, given to the tiles for as long as it takes.

Gemma 2 and Gear cap their scores smoothly between two matrix products, which MLX's attention does
not know. Here is the same with the capped attention of `attention.py` in the place of their lines:
with whatever stands for MLX's attention at the call.
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


# Module, path of the function in it, what takes its place.
REPLACED: tuple[tuple[str, str, Callable[..., mx.array]], ...] = (
    ("mlx_lm.models.gemma2", "Attention.__call__", _gemma2),
    ("mlx_lm.models.gear", "_softcap_attention", _gear),
)


@contextmanager
def capped_attention() -> Iterator[None]:
    """Let the models that are loaded ask for a capped attention."""
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
