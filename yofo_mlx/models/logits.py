"""Run an unmodified mlx-lm model, but project only chosen rows onto the vocabulary.

The last layer is wrapped for one call: it hands on just the rows whose output is asked for, and the
model's own code then normalises and projects those. No [B * L, V] array ever exists.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import RunError
from yofo_mlx.models.layers import StandIn, layer_list


class RowGather(StandIn):
    """Keeps the given rows of a layer's output, (B, L, D) -> (1, N, D)."""

    def __init__(self, layer: Any, rows: mx.array) -> None:
        super().__init__(layer)
        self._rows = rows
        self._called = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer and gather rows of its (first) output."""
        output = self._layer(*args, **kwargs)
        if isinstance(output, tuple):
            return (self._gather(output[0]), *output[1:])
        return self._gather(output)

    def _gather(self, hidden: mx.array) -> mx.array:
        if self._called or hidden.ndim != 3:
            raise RunError(
                f"{type(self._layer).__module__}: its layers run more than once, or on more than"
                " one vector for each token",
                "this model is not supported",
            )
        self._called = True
        return hidden.reshape(-1, hidden.shape[-1])[self._rows][None]


@contextmanager
def only_rows(model: Any, rows: mx.array) -> Iterator[None]:
    """Let `model` return logits of the given rows of (B * L) only."""
    last = model.layers[-1]
    layers = layer_list(model)
    layers[-1] = RowGather(last, rows)
    try:
        yield
    finally:
        layers[-1] = last


def row_logits(
    model: Any, tokens: mx.array, rows: mx.array | None, cache: list[Any] | None = None
) -> mx.array:
    """Return float32 logits (N, V) of rows (N,) of the flattened tokens (B, L); None: of all."""
    logits: mx.array
    if rows is None:
        logits = model(tokens, cache=cache)
        return logits.flatten(0, 1).astype(mx.float32)
    with only_rows(model, rows):
        logits = model(tokens, cache=cache)
    return logits.squeeze(0).astype(mx.float32)
