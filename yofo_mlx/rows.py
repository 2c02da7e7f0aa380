"""Run an unmodified mlx-lm model, but project only chosen rows onto the vocabulary.

The last layer is wrapped for one call: it hands on just the rows whose output is asked for, and the
model's own code then normalises and projects those. No [B * L, V] array ever exists.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import RunError


class RowGather:
    """Stands for a layer and keeps the given rows of its output, (B, L, D) -> (1, N, D)."""

    def __init__(self, layer: Any, rows: mx.array) -> None:
        self._layer = layer
        self._rows = rows

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer and gather rows of its (first) output."""
        output = self._layer(*args, **kwargs)
        if isinstance(output, tuple):
            return (self._gather(output[0]), *output[1:])
        return self._gather(output)

    def _gather(self, hidden: mx.array) -> mx.array:
        return hidden.reshape(-1, hidden.shape[-1])[self._rows][None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


@contextmanager
def only_rows(model: Any, rows: mx.array) -> Iterator[None]:
    """Let `model` return logits of the given rows of (B * L) only."""
    last = model.layers[-1]
    layers = _home(model, last)
    layers[-1] = RowGather(last, rows)
    try:
        yield
    finally:
        layers[-1] = last


def _home(model: Any, last: Any) -> list[Any]:
    """Return the list that the model runs through; `model.layers` may be a copy of it."""
    for module in model.modules():
        for value in module.values():
            if isinstance(value, list) and value and value[-1] is last:
                return value
    raise RunError(
        f"no list of layers found in {type(model).__module__}", "this model is not supported"
    )


def row_logits(
    model: Any, tokens: mx.array, rows: mx.array, cache: list[Any] | None = None
) -> mx.array:
    """Return float32 logits (N, V) of rows (N,) of the flattened tokens (B, L)."""
    with only_rows(model, rows):
        logits: mx.array = model(tokens, cache=cache)
    return logits[0].astype(mx.float32)
