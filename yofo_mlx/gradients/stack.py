"""An unmodified mlx-lm model taken apart: what is before its layers, the layers, what is after.

Embedding, masks, positions and output projection are the model's own code. It is run with stand-ins
for its layers: recorders, which note what each layer is called with and hand on what they get; or,
for the end of the model, layers that return given hidden states.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from yofo_mlx.gradients.layer_cache import KeyValues, Part
from yofo_mlx.gradients.survey import Constant, Survey, refusal, resolved
from yofo_mlx.models.layers import StandIn


@dataclass(frozen=True)
class LayerCall:
    """What a layer is called with after its input."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Recorder(StandIn):
    """Notes how a layer is called and returns its input."""

    def __init__(self, layer: Any, extras: Sequence[Any]) -> None:
        super().__init__(layer)
        self._extras = extras
        self.input: mx.array | None = None
        self.value: mx.array | None = None
        self.call = LayerCall((), {})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note the arguments, hand on the input."""
        x, *rest = args or [kwargs.pop(next(iter(kwargs)))]
        self.input, self.call = x, LayerCall(tuple(rest), kwargs)
        self.value = x[...]  # Gemma 3n writes into what its last layer returns: here, its input
        return (x, *self._extras) if self._extras else x


class Ending(StandIn):
    """Returns given hidden states in the place of the last layer's output."""

    def __init__(self, layer: Any, hidden: mx.array, extras: Sequence[Any]) -> None:
        super().__init__(layer)
        hidden = hidden[..., None, :, :]
        self._output = (hidden, *extras) if extras else hidden

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what was given."""
        return self._output


class Stack:
    """The layers of a model and their caches, and the model's code around them."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._survey = Survey(model)
        self.layers = self._survey.layers
        self._facts = self._survey.facts
        self._constants: dict[int, dict[Constant, mx.array]] = {}  # by the start of a chunk

    @property
    def caches(self) -> list[list[Part]]:
        """The caches of each layer."""
        return [facts.parts for facts in self._facts]

    def borrowed(self, layer: int) -> list[KeyValues]:
        """Return the caches of earlier layers that a layer reads."""
        return self._facts[layer].borrowed

    def calls(self, tokens: mx.array, offset: int) -> tuple[mx.array, list[LayerCall]]:
        """Return the first layer's input and how each layer is called for tokens (B, C)."""
        recorders = self._recorders()
        self._run(tokens, offset, recorders)
        if any(recorder.input is not recorders[0].input for recorder in recorders):
            raise refusal(self.model, "something happens between its layers")
        first = recorders[0].value
        assert first is not None
        return first, [recorder.call for recorder in recorders]

    def output(
        self, layer: int, x: mx.array, call: LayerCall, start: int, traced: mx.array
    ) -> mx.array:
        """Return what a layer makes of the chunk that begins at `start`.

        Gradients of borrowed keys and values are sent only if `traced` is differentiated by.
        """
        facts, constants = self._facts[layer], self._constants.setdefault(start, {})
        arguments = (call.args, call.kwargs)
        args, kwargs = resolved(arguments, facts.borrowed, traced, constants)
        y = self.layers[layer](x, *args, **kwargs)
        for place in facts.constants:
            constants[Constant(layer, place)] = mx.stop_gradient(y[place])
        output: mx.array = y[0] if isinstance(y, tuple) else y
        return output

    def logits(self, hidden: mx.array) -> mx.array:
        """Return float32 logits (N, V) of hidden states (..., N, D) after the last layer."""
        recorders: list[Any] = self._recorders()
        recorders[-1] = Ending(self.layers[-1], hidden, self._facts[-1].extras)
        logits = self._run(mx.zeros((1, 1), dtype=mx.int32), 0, recorders)
        return logits.squeeze(0).astype(mx.float32)

    def _recorders(self) -> list[Recorder]:
        pairs = zip(self.layers, self._facts, strict=True)
        return [Recorder(layer, facts.extras) for layer, facts in pairs]

    def _run(self, tokens: mx.array, offset: int, layers: Sequence[Any]) -> mx.array:
        for cache in self._survey.given:
            cache.offset = offset
        with self._survey.replaced(layers):
            output: mx.array = self.model(tokens, cache=list(self._survey.given))
        return output

    def name(self, index: int) -> str:
        """Return the path of a layer in the model's parameter tree."""
        layer = self.layers[index]
        return next(str(name) for name, module in self.model.named_modules() if module is layer)
