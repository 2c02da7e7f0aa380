"""Attentions that models compute in their own code, given to the tiles for as long as it takes.

Gemma 2 and Gear cap their scores smoothly between two matrix products, which MLX's attention does
not know. Here is the same with the capped attention of `attention.py` in the place of their lines.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

Attention = Callable[..., mx.array]


def _gemma2(attention: Attention) -> Callable[..., mx.array]:
    def call(self: Any, x: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
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
        cap = self.attn_logit_softcapping
        output = attention(q, k, v, scale=self.scale, mask=causal, cap=cap)
        result: mx.array = self.o_proj(output.swapaxes(1, 2).flatten(2))
        return result

    return call


def _gear(attention: Attention) -> Callable[..., mx.array]:
    def call(
        q: mx.array, k: mx.array, v: mx.array, scale: float, softcap: float, mask: Any
    ) -> mx.array:
        return attention(q, k, v, scale=scale, mask=mask, cap=softcap)

    return call


# Module, path of the function in it, its replacement as a function of the attention to use.
REPLACED = (
    ("mlx_lm.models.gemma2", "Attention.__call__", _gemma2),
    ("mlx_lm.models.gear", "_softcap_attention", _gear),
)


@contextmanager
def replaced(attention: Attention) -> Iterator[None]:
    """Let the models that are loaded use `attention` in the place of their own code."""
    undo = []
    for module, path, make in REPLACED:
        *parents, name = path.split(".")
        owner: Any = sys.modules.get(module)
        for parent in parents:
            owner = getattr(owner, parent, None)
        if owner is not None:
            undo.append((owner, name, getattr(owner, name)))
            setattr(owner, name, make(attention))
    try:
        yield
    finally:
        for owner, name, original in undo:
            setattr(owner, name, original)
