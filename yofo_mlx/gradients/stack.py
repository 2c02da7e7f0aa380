"""An unmodified mlx-lm model taken apart: what is before its layers, the layers, what is after.

Embedding, masks, positions, output projection and whatever is between two layers are the model's
own code. It is run with stand-ins for its layers, which note what each is called with and hand on
what they get, or what they are given to hand on.
"""

from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from yofo_mlx.gradients.layer_cache import KeyValues, Part
from yofo_mlx.gradients.survey import HandedOn, Survey, leaves, refusal, resolved
from yofo_mlx.models.layers import StandIn

# Bytes of masks and the like that layers are called with, over all chunks; those of further chunks
# are made anew for each layer. Chosen: mostly there are none, or one mask that all chunks share.
ARGUMENTS_KEPT = 2**22


@dataclass(frozen=True)
class LayerCall:
    """What a layer is called with; x (B, C, D) is a copy of what the model had in its place."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    x: Any  # None where what was in its place is not kept

    @property
    def arrays(self) -> list[mx.array]:
        """The arrays among the arguments."""
        found = leaves([list(self.args), list(self.kwargs.values())])
        return [one for one in found if isinstance(one, mx.array)]


@dataclass
class Recording:
    """The calls of all layers in the order in which they run; `given` are outputs, by run."""

    survey: Survey
    given: dict[int, mx.array] = field(default_factory=dict)
    calls: list[LayerCall] = field(default_factory=list)

    def note(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note a call; return its x, or what is given, and what stands for the rest."""
        run, place = self.survey.runs[len(self.calls)], self.survey.place
        x = args[place] if isinstance(place, int) else kwargs[place]
        # Gemma 3n writes into what its last layer returns: here, the first one's input.
        self.calls.append(LayerCall(args, kwargs, x[...]))
        output = self.given.get(run.index, x)
        return (output, *run.extras) if run.extras else output


class Recorder(StandIn):
    """Stands for a layer and has its calls recorded."""

    def __init__(self, layer: Any, recording: Recording) -> None:
        super().__init__(layer)
        self._recording = recording

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note the arguments, hand on the input."""
        return self._recording.note(args, kwargs)


class Stack:
    """The layers of a model, as often as they run, and the model's code around them."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._survey = survey = Survey(model)
        self._runs = survey.runs
        self.layers = [survey.layers[run.layer] for run in self._runs]
        self.caches: list[list[Part]] = [run.parts for run in self._runs]
        self._handed_on: dict[int, dict[HandedOn, mx.array]] = {}  # integers, by chunk
        self._outer: dict[int, list[list[Any]]] = {0: [list(part.state) for part in survey.outer]}
        self._calls: dict[int, list[LayerCall]] = {}  # by chunk, where they are kept
        self._held: dict[int, mx.array] = {}  # the arrays in them, by identity
        paths = {id(module): str(path) for path, module in model.named_modules()}
        self.names = [paths[id(layer)] for layer in self.layers]  # in the tree of parameters
        self._check()

    def borrowed(self, layer: int) -> list[KeyValues]:
        """Return the caches of earlier layers that a layer reads."""
        return self._runs[layer].borrowed

    def embedding(self, tokens: mx.array, offset: int) -> mx.array:
        """Return the first layer's input for tokens (B, C); called for each chunk in turn."""
        recording = Recording(self._survey)
        self._run(tokens, offset, recording)
        self._outer[offset + tokens.shape[1]] = [list(part.state) for part in self._survey.outer]
        self._keep(offset, recording.calls)
        x: mx.array = recording.calls[0].x
        return x

    def _keep(self, offset: int, calls: list[LayerCall]) -> None:
        """Keep how the layers are called for a chunk, if that is a function of its tokens alone."""
        if any(run.between for run in self._runs):
            return
        calls = [self._with_x(call, None) for call in calls]
        held = self._held | {id(array): array for call in calls for array in call.arrays}
        if sum(array.nbytes for array in held.values()) <= ARGUMENTS_KEPT:
            self._held, self._calls[offset] = held, calls

    def _with_x(self, call: LayerCall, x: mx.array | None) -> LayerCall:
        args, kwargs = list(call.args), dict(call.kwargs)
        where: Any = args if isinstance(self._survey.place, int) else kwargs
        where[self._survey.place] = x
        return LayerCall(tuple(args), kwargs, x)

    def output(
        self, layer: int, inputs: list[mx.array], tokens: mx.array, start: int, traced: mx.array
    ) -> list[mx.array]:
        """Return what a layer makes of the chunk that begins at `start`: x and what goes with it.

        `inputs` are what the layer before it made. Gradients of borrowed keys and values are sent
        only if `traced` is differentiated by.
        """
        run, handed_on = self._runs[layer], self._handed_on.setdefault(start, {})
        call = self._call(layer, inputs[0], tokens, start)
        carried = self._runs[layer - 1].carried if layer else []
        arrays = {
            HandedOn(layer - 1, place): array
            for place, array in zip(carried, inputs[1:], strict=True)
        }
        call = self._with_x(call, call.x if run.between else inputs[0])
        arguments = resolved((call.args, call.kwargs), run.borrowed, traced, handed_on | arrays)
        y = self.layers[layer](*arguments[0], **arguments[1])
        if not isinstance(y, tuple):
            return [y]
        extras = leaves(y[1:])
        for place in run.constants:
            handed_on[HandedOn(layer, place)] = extras[place]
        return [y[0], *(extras[place] for place in run.carried)]

    def _call(self, layer: int, x: mx.array, tokens: mx.array, start: int) -> LayerCall:
        """Return how a layer is called for a chunk; all caches stand at its beginning."""
        if start in self._calls:
            self._stand_at(start)
            return self._calls[start][layer]
        given = {layer - 1: x} if self._runs[layer].between else {}
        recording = Recording(self._survey, given)
        self._run(tokens, start, recording)
        return recording.calls[layer]

    def logits(self, hidden: mx.array) -> mx.array:
        """Return float32 logits (N, V) of hidden states (..., N, D) after the last layer."""
        recording = Recording(self._survey, {len(self.layers) - 1: hidden[..., None, :, :]})
        logits = self._run(mx.zeros((1, 1), dtype=mx.int32), 0, recording)
        return logits.squeeze(0).astype(mx.float32)

    def _run(self, tokens: mx.array, offset: int, recording: Recording) -> mx.array:
        self._stand_at(offset)
        # Caches that no layer takes are the embedding's: what it has seen of the tokens before.
        for part, state in zip(self._survey.outer, self._outer[offset], strict=True):
            part.state = list(state)
        with self._survey.replaced([Recorder(layer, recording) for layer in self._survey.layers]):
            output: mx.array = self.model(tokens, cache=list(self._survey.given))
        return output

    def _stand_at(self, offset: int) -> None:
        for cache in self._survey.given:
            cache.offset = offset

    def _check(self) -> None:
        """Refuse a model whose code between or after its layers takes more than the last output."""
        sizes = [run.outputs[0].shape for run in self._runs]
        outputs = [mx.random.normal(size, key=mx.random.key(at)) for at, size in enumerate(sizes)]
        tokens = mx.zeros((1, 2), dtype=mx.int32)
        for run in (run for run in self._runs if run.between):

            def x_of(*given: mx.array, index: int = run.index) -> list[mx.array]:
                recording = Recording(self._survey, dict(enumerate(given)))
                self._run(tokens, 0, recording)
                return [recording.calls[index].x]

            _, gradients = mx.vjp(x_of, outputs, [outputs[run.index]])
            others = [found for at, found in enumerate(gradients) if at != run.index - 1]
            if any(mx.any(found != 0).item() for found in others):
                raise refusal(self.model, "something from elsewhere comes in between its layers")
        try:
            self.logits(outputs[-1][..., 0, :, :])
        except (AttributeError, TypeError, ValueError) as error:
            raise refusal(self.model, f"what follows its layers takes more ({error})") from error
