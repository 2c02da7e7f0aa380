"""An unmodified mlx-lm model taken apart: what is before its layers, the layers, what is after.

Embedding, masks, positions and output projection are the model's own code. It is run with stand-ins
for its layers: recorders, which note what each layer is called with and hand on what they get; or,
for the end of the model, layers that return given hidden states.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import RunError
from yofo_mlx.gradients.layer_cache import KeyValues, Recurrent, caches_for
from yofo_mlx.models.layers import StandIn, layer_list


@dataclass(frozen=True)
class LayerCall:
    """What a layer is called with after its input."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def arrays(self) -> list[mx.array]:
        """The arrays among them."""
        return _arrays([*self.args, *self.kwargs.values()])


class Recorder(StandIn):
    """Notes how a layer is called and returns its input."""

    def __init__(self, layer: Any, extras: int) -> None:
        super().__init__(layer)
        self._extras = extras
        self.input: mx.array | None = None
        self.call = LayerCall((), {})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note the arguments, hand on the input."""
        x, *rest = args or [kwargs.pop(next(iter(kwargs)))]
        self.input, self.call = x, LayerCall(tuple(rest), kwargs)
        return (x, *[None] * self._extras) if self._extras else x


class Ending(StandIn):
    """Returns given hidden states in the place of the last layer's output."""

    def __init__(self, layer: Any, hidden: mx.array, extras: int) -> None:
        super().__init__(layer)
        self._output = (hidden[None], *[None] * extras) if extras else hidden[None]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what was given."""
        return self._output


class Spy(StandIn):
    """Calls a layer and notes what went in and came out, by identity."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.calls = 0
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer."""
        result = self._layer(*args, **kwargs)
        self.calls += 1
        self.inputs = [*args, *kwargs.values()]
        self.outputs = list(result) if isinstance(result, tuple) else [result]
        return result


class Stack:
    """The layers of a model and their caches, and the model's code around them."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._home = layer_list(model)
        self.layers = list(self._home)
        if len(self.layers) != len(model.layers):
            raise _refusal(model, "its layers are in more than one list")
        paths = {id(module): str(path) for path, module in model.named_modules()}
        self.names = [paths[id(layer)] for layer in self.layers]  # in the tree of parameters
        self.extras = self._check_that_it_is_a_stack()
        self._given = caches_for(model)
        _, calls = self.calls(mx.zeros((1, 2), dtype=mx.int32), 0)
        self.caches = [self._cache_of(call) for call in calls]
        used = [id(cache) for cache in self.caches if cache in self._given]
        if sorted(used) != sorted(id(cache) for cache in self._given):
            raise _refusal(model, "its layers have not one cache each")

    def calls(self, tokens: mx.array, offset: int) -> tuple[mx.array, list[LayerCall]]:
        """Return the first layer's input and how each layer is called for tokens (B, C)."""
        self.stand_at(offset)
        recorders = [Recorder(layer, self.extras) for layer in self.layers]
        with self._replaced(recorders):
            self.model(tokens, cache=list(self._given))
        if any(recorder.input is not recorders[0].input for recorder in recorders):
            raise _refusal(self.model, "something happens between its layers")
        first = recorders[0].input
        assert first is not None
        return first, [recorder.call for recorder in recorders]

    def stand_at(self, offset: int) -> None:
        """Let the caches stand before the token at `offset`."""
        for cache in self._given:
            cache.offset = offset

    def logits(self, hidden: mx.array) -> mx.array:
        """Return float32 logits (N, V) of hidden states (N, D) after the last layer."""
        recorders: list[Any] = [Recorder(layer, self.extras) for layer in self.layers[:-1]]
        with self._replaced([*recorders, Ending(self.layers[-1], hidden, self.extras)]):
            logits: mx.array = self.model(mx.zeros((1, 1), dtype=mx.int32))
        return logits.squeeze(0).astype(mx.float32)

    def _cache_of(self, call: LayerCall) -> KeyValues | Recurrent:
        given = [*call.args, *call.kwargs.values()]
        found = [cache for cache in self._given if any(value is cache for value in given)]
        return found[0] if len(found) == 1 else Recurrent(0)

    def _check_that_it_is_a_stack(self) -> int:
        """Run two tokens, unevaluated; return how many values a layer returns beside its output."""
        spies = [Spy(layer) for layer in self.layers]
        with self._replaced(spies):
            self.model(mx.zeros((1, 2), dtype=mx.int32))
        if any(spy.calls != 1 for spy in spies):
            raise _refusal(self.model, "its layers are not run once each")
        if any(spy.outputs[0].ndim != 3 for spy in spies):
            raise _refusal(self.model, "its layers hand on more than one vector for each token")
        extras = len(spies[0].outputs) - 1
        seen: list[Any] = []
        for before, after in pairwise(spies):
            if after.inputs[0] is not before.outputs[0]:
                raise _refusal(self.model, "something happens between its layers")
            seen += [value for extra in before.outputs[1:] for value in _arrays(extra)]
            given = [value for argument in after.inputs[1:] for value in _arrays(argument)]
            if any(value is other for value in given for other in seen):
                raise _refusal(self.model, "its layers share keys and values")
        return extras

    @contextmanager
    def _replaced(self, layers: Sequence[Any]) -> Iterator[None]:
        self._home[:] = layers
        try:
            yield
        finally:
            self._home[:] = self.layers


def _arrays(value: Any) -> list[mx.array]:
    if isinstance(value, mx.array):
        return [value]
    if isinstance(value, (tuple, list)):
        return [array for item in value for array in _arrays(item)]
    return []


def _refusal(model: Any, why: str) -> RunError:
    return RunError(
        f"{model.model_type} cannot be trained in chunks: {why}",
        'train it on shorter episodes with memory.method = "plain"',
    )
