"""Keys as an mlx-lm model makes them, before its rotary positions; and the positions themselves.

A layer's attention asks its `rope` first for queries, then for keys. That order, and that nothing
happens to keys between there and the cache, is what the families named here have in common.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache, make_prompt_cache

from yofo_mlx.errors import RunError
from yofo_mlx.models.layers import layer_list

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")  # mlx-lm runs mistral as llama


class RawKeys:
    """Stands for an attention's `rope`, and keeps the keys that it is given."""

    def __init__(self, rope: Any) -> None:
        self._rope, self._comes_key = rope, False
        self.parts: list[mx.array] = []  # (B, H_kv, L, D) of each call

    def __call__(self, x: mx.array, *args: Any, **kwargs: Any) -> Any:
        """Rotate."""
        if self._comes_key:
            self.parts.append(x)
        self._comes_key = not self._comes_key
        return self._rope(x, *args, **kwargs)


def attentions(model: Any) -> list[Any]:
    """Return each layer's attention, or refuse a model whose keys could not be moved."""
    kinds = {type(layer).__name__ for layer in make_prompt_cache(model)}
    if model.model_type not in FAMILIES:
        raise _refusal(f"a {model.model_type} model")
    if kinds != {KVCache.__name__}:
        raise _refusal(f"{model.model_type} layers with {', '.join(sorted(kinds))}")
    return [layer.self_attn for layer in layer_list(model)]


@contextmanager
def raw_keys(attentions: Sequence[Any]) -> Iterator[list[RawKeys]]:
    """Record what attentions (of a model that is called in the block) make before they rotate."""
    ropes = [attention.rope for attention in attentions]
    recorders = [RawKeys(rope) for rope in ropes]
    try:
        for attention, recorder in zip(attentions, recorders, strict=True):
            attention.rope = recorder
        yield recorders
    finally:
        for attention, rope in zip(attentions, ropes, strict=True):
            attention.rope = rope


def _refusal(what: str) -> RunError:
    return RunError(
        f"{what} cannot read demonstrations in blocks: its keys have no rotary positions that could"
        " be moved",
        f"choose demonstrations in another way; blocks work with {', '.join(FAMILIES)}",
    )
