"""What mlx-lm's prompt caches allow: copies, so that many queries start from one, and ways back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models.cache import CacheList, KVCache, QuantizedKVCache, RotatingKVCache


def clone(layer: Any, copies: int = 1) -> Any:
    """Return a layer's cache of `copies` equal batch rows; the original is left as it is."""

    def repeat(leaf: Any) -> Any:
        if not isinstance(leaf, mx.array):
            return leaf
        # A new array even for one copy: mlx-lm's caches write into theirs in place.
        return mx.repeat(leaf, copies, axis=0) if copies > 1 else leaf[...]

    return type(layer).from_state(tree_map(repeat, layer.state))


@contextmanager
def between_layers(layers: Sequence[Any], call: Callable[[], None]) -> Iterator[None]:
    """Call before each layer's cache takes keys and values, when those before it are computed.

    What it raises ends the pass there: the caches of the layers before have the tokens already.
    """

    def watched(update: Callable[..., Any]) -> Callable[..., Any]:
        def run(keys: mx.array, values: mx.array, *more: Any, **options: Any) -> Any:
            mx.eval(keys, values)
            call()
            return update(keys, values, *more, **options)

        return run

    flat = [part for layer in layers for part in getattr(layer, "caches", [layer])]
    attending = [layer for layer in flat if hasattr(layer, "update_and_fetch")]
    for layer in attending:
        layer.update_and_fetch = watched(layer.update_and_fetch)
    try:
        yield
    finally:
        for layer in attending:
            del layer.update_and_fetch


def only_appends(layer: Any) -> bool:
    """Tell whether a cache only ever appends, so that cutting restores it."""
    return type(layer) in (KVCache, QuantizedKVCache)


def can_be_cut(layer: Any) -> bool:
    """Tell whether cutting is exact now: a rotating cache must not have dropped a token yet."""
    if type(layer) is CacheList:
        return all(can_be_cut(part) for part in layer.caches)
    if type(layer) is RotatingKVCache:
        return bool(layer.offset < layer.max_size)
    return only_appends(layer)
