"""Run an unmodified mlx-lm model, but project only chosen rows onto the vocabulary.

The last layer is wrapped for one call: it hands on just the rows whose output is asked for, and the
model's own code then normalises and projects those. No [B * L, V] array ever exists.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import finalize

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import KVCache, make_prompt_cache

from yofo_mlx.errors import RunError
from yofo_mlx.models.last_layer import spared
from yofo_mlx.models.layers import StandIn, layer_list

_tried: dict[int, bool] = {}  # of the models there are, by id


class RowGather(StandIn):
    """Keeps the given rows of a layer's last output, (..., B, L, D) -> (..., 1, N, D)."""

    def __init__(self, layer: Any, rows: mx.array, runs: int, one: int | None) -> None:
        """`one`: tokens of the only text, of whose other rows hardly anything is then computed."""
        super().__init__(layer)
        self._rows = rows
        self.left = runs
        self._one = one if runs == 1 else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer and gather rows of its (first) output, if it is the last run."""
        with spared(self._layer, self._rows, self._one) if self._one else nullcontext():
            output = self._layer(*args, **kwargs)
        self.left -= 1
        if self.left > 0:
            return output
        if isinstance(output, tuple):
            if any(type(extra).__module__.startswith("mlx_lm.") for extra in output[1:]):
                self.left = 1  # the model's end takes it too, whole: Kimi K3
                return output
            return (self._gather(output[0]), *output[1:])
        return self._gather(output)

    def _gather(self, hidden: mx.array) -> mx.array:
        if self.left < 0:
            raise RunError(
                f"{type(self._layer).__module__}: its layers run more often than it has caches for",
                "this model is not supported",
            )
        return hidden.flatten(-3, -2)[..., self._rows, :][..., None, :, :]


@contextmanager
def only_rows(model: Any, rows: mx.array, one: int | None = None) -> Iterator[RowGather]:
    """Let `model` return logits of the given rows of (B * L) only, if it runs its last layer."""
    last = model.layers[-1]
    layers = layer_list(model)
    layers[-1] = gather = RowGather(last, rows, _runs(model), one)
    try:
        yield gather
    finally:
        layers[-1] = last


def row_logits(
    model: Any, tokens: mx.array, rows: mx.array | None, cache: list[Any] | None = None
) -> mx.array:
    """Return float32 logits (N, V) of rows (N,) of the flattened tokens (B, L); None: of all."""
    logits: mx.array
    if cache is None and _shares_by_cache(model):
        cache = make_prompt_cache(model)
    if rows is None:
        logits = model(tokens, cache=cache)
        return logits.flatten(0, 1).astype(mx.float32)
    # Steps of training go on as they are planned.
    is_one = cache is not None and type(cache[-1]) is KVCache and len(tokens) == 1
    with only_rows(model, rows, tokens.shape[1] if is_one else None) as gather:
        logits = model(tokens, cache=cache)
    if gather.left > 0:  # nothing was gathered: a model runs the parts of its layers itself
        return logits.flatten(0, 1)[rows].astype(mx.float32)
    return logits.squeeze(0).astype(mx.float32)


def tells_rows(model: Any) -> bool:
    """Tell whether chosen rows alone can be projected; nothing is computed to find out, once."""
    if (known := _tried.get(id(model))) is None:
        try:
            row_logits(model, mx.array([[0]]), mx.array([0]), make_prompt_cache(model))
            known = True
        except Exception:  # whatever a model does with what its last layer returns
            known = False
        _tried[id(model)] = known
        finalize(model, _tried.pop, id(model), None)
    return known


def log_sums(logits: mx.array) -> mx.array:
    """Return logsumexp (N,) of logits (N, V); on a CPU by NumPy, whose exponents are faster."""
    if mx.default_device() != mx.cpu:
        return mx.logsumexp(logits, axis=-1)
    numbers = np.asarray(logits)
    top = numbers.max(axis=-1, keepdims=True)
    return mx.array(np.log(np.exp(numbers - top).sum(axis=-1)) + top[:, 0])


def _runs(model: Any) -> int:
    """Return how often each layer runs: with a cache each time."""
    caches = len(model.make_cache()) if hasattr(model, "make_cache") else 0
    return max(1, caches // len(model.layers))


def _shares_by_cache(model: Any) -> bool:
    """Tell whether layers find the keys of earlier ones in a cache only (Gemma 3n).

    Without one, mlx-lm has such layers make keys of their own, which the model never answers with.
    """
    last = model.layers[-1]
    return bool(getattr(getattr(last, "self_attn", None), "is_kv_shared_layer", False))
