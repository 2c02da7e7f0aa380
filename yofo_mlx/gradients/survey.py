"""What the layers of a model take and hand on, seen on two tokens that are never computed.

Everything that chunks need to know of an unmodified model is found out here: in which order its
layers run, which caches belong to which, who reads the keys and values of earlier ones, what else
goes from layer to layer. What is not understood is refused by name.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_map

from yofo_mlx.errors import RunError
from yofo_mlx.gradients.attention import attending, noting
from yofo_mlx.gradients.layer_cache import (
    KeyValues,
    Latents,
    Lent,
    Part,
    Recurrent,
    Several,
    caches_for,
    parts_of,
)
from yofo_mlx.models.layers import StandIn, lists_of_layers

# What a layer may be called with: anything else could be changed by one and read by the next.
KNOWN = (mx.array, int, float, str, type(None), KeyValues, Recurrent, Several, Lent, nn.Module)


# What mlx-lm computes otherwise in two calls than in one.
UNSOUND = {"phi3small": "mlx-lm aligns its block mask to the end of a call, and not causally"}


@dataclass(frozen=True)
class HandedOn:
    """Stands for the array at a place of what a run returns beside x."""

    run: int
    place: int


@dataclass(eq=False)
class Run:
    """One run of a layer: what it was called with, what it returned, what follows from both."""

    index: int
    layer: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)  # its own caches
    borrowed: list[KeyValues] = field(default_factory=list)  # whose keys and values it reads
    fetched: dict[int, Lent] = field(default_factory=dict)  # from its own caches, by id
    attentions: list[tuple[mx.array, Any]] = field(default_factory=list)
    between: bool = False  # whether the model does something to the run before's output
    extras: list[Any] = field(default_factory=list)  # what stands for what it returns beside x
    carried: list[int] = field(default_factory=list)  # places of those that the next run takes
    constants: list[int] = field(default_factory=list)  # of integers that any later one takes

    @property
    def given(self) -> list[Any]:
        """All arrays and caches that it was called with."""
        return leaves([list(self.args), list(self.kwargs.values())])

    @property
    def has_latents(self) -> bool:
        """Tell whether all its attentions expand what the cache has and add scores of positions."""
        keys = [part for part in self.parts if isinstance(part, KeyValues)]
        return len(self.attentions) == len(keys) > 0 and all(
            id(k) not in self.fetched and isinstance(mask, mx.array) and mask.dtype != mx.bool_
            for k, mask in self.attentions
        )


class Spy(StandIn):
    """Calls a layer and notes what went in and came out, by identity."""

    def __init__(self, layer: Any, index: int, survey: "Survey") -> None:
        super().__init__(layer)
        self._index, self._survey = index, survey

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer."""
        run = self._survey.begin(self._index, args, kwargs)
        args, kwargs = resolved((args, kwargs), run.borrowed, mx.array(0.0), {})
        with attending([*run.parts, *run.borrowed], None):
            with noting(run.attentions):
                result = self._layer(*args, **kwargs)
            for cache in run.parts:
                if isinstance(cache, KeyValues):
                    for which in (0, 1):
                        run.fetched[id(cache.last_seen(which))] = Lent(cache, which)
        run.outputs = list(result) if isinstance(result, tuple) else [result]
        return result


class Survey:
    """One look at a model: its caches, the runs of its layers, `place` of x in their arguments."""

    def __init__(self, model: Any) -> None:
        if why := UNSOUND.get(model.model_type):
            raise refusal(model, why)
        self.model = model
        self.layers = list(model.layers)
        self._homes = [(home, list(home)) for home in lists_of_layers(model)]
        self.given = caches_for(model)
        self.runs: list[Run] = []
        self._look()
        if latent := {id(part) for run in self.runs if run.has_latents for part in run.parts}:
            self.given = [_with_latents(cache, latent) for cache in self.given]
            self._look()
        self.place: int | str = 0
        self._check()
        self._connect()
        used = {id(part) for run in self.runs for part in run.parts}
        rest = [part for cache in self.given for part in parts_of(cache) if id(part) not in used]
        if any(isinstance(part, KeyValues) for part in rest):
            raise refusal(model, "its layers do not take all of its caches")
        self.outer = [part for part in rest if isinstance(part, Recurrent)]

    def _look(self) -> None:
        """Run two tokens, unevaluated."""
        self.runs = []
        for part in (part for cache in self.given for part in parts_of(cache)):
            part.offset = 0
            part.open([(0, 2)])
        with self.replaced([Spy(layer, at, self) for at, layer in enumerate(self.layers)]):
            self.model(mx.zeros((1, 2), dtype=mx.int32), cache=list(self.given))
        for part in (part for cache in self.given for part in parts_of(cache)):
            part.open([])

    def begin(self, layer: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        """Note a run, with its caches among what it is called with: its own and borrowed ones."""
        run = Run(len(self.runs), layer, args, kwargs)
        known = {id(part) for other in self.runs for part in other.parts}
        handed = {id(value) for value in run.given}
        for part in (p for cache in self.given if id(cache) in handed for p in parts_of(cache)):
            if id(part) not in known:
                run.parts.append(part)
            elif isinstance(part, KeyValues):
                run.borrowed.append(part)
        fetched = {key: lent for other in self.runs for key, lent in other.fetched.items()}
        for value in run.given:
            lent = value if isinstance(value, Lent) else fetched.get(id(value))
            if lent and lent.cache not in run.borrowed:
                run.borrowed.append(lent.cache)
        self.runs.append(run)
        return run

    def _check(self) -> None:
        """Find where the layers take x, and refuse what is no sequence of them."""
        if {run.layer for run in self.runs} != set(range(len(self.layers))):
            raise refusal(self.model, "it runs the parts of its layers itself")
        if any(run.outputs[0].shape[-3:-1] != (1, 2) for run in self.runs):
            raise refusal(self.model, "its layers do not hand on vectors of tokens")
        for before, after in pairwise(self.runs):
            places: list[tuple[Any, Any]] = [*enumerate(after.args), *after.kwargs.items()]
            found = [place for place, value in places if value is before.outputs[0]]
            if found:
                self.place = found[0]
            after.between = not found

    def _connect(self) -> None:
        """Find what stands for the outputs that layers return beside x, and who takes them."""
        last: dict[int, HandedOn] = {}
        fetched: dict[int, Lent] = {}
        for run in self.runs:
            for value in [*run.given, *leaves(run.outputs[1:])]:
                if not isinstance(value, KNOWN):
                    kind = type(value).__name__
                    raise refusal(self.model, f"its layers work on a common {kind}")
            taken = {id(value): value for value in run.given if id(value) in last}
            for key, value in taken.items():
                source = last[key]
                before = self.runs[source.run]
                if not mx.issubdtype(value.dtype, mx.floating):
                    before.constants.append(source.place)
                elif source.run != run.index - 1:
                    raise refusal(self.model, "its layers hand something on to more than the next")
                else:
                    before.carried.append(source.place)
            for cache in run.borrowed:
                cache.lent = True
            fetched |= run.fetched
            last |= {
                id(value): HandedOn(run.index, at)
                for at, value in enumerate(leaves(run.outputs[1:]))
                if isinstance(value, mx.array) and id(value) not in fetched
            }
            stands_for: dict[int, Any] = last | fetched
            extras = leaves(run.outputs[1:])
            stands_for |= {id(value): value for value in extras if isinstance(value, int | float)}
            run.extras = tree_map(stands_for.get, tree_map(id, run.outputs[1:]))

    @contextmanager
    def replaced(self, layers: Sequence[Any]) -> Iterator[None]:
        """Let others stand for the layers."""
        others = {id(layer): other for layer, other in zip(self.layers, layers, strict=True)}
        for home, items in self._homes:
            home[:] = [others.get(id(item), item) for item in items]
        try:
            yield
        finally:
            for home, items in self._homes:
                home[:] = items


def resolved(
    call: Any,
    borrowed: Sequence[KeyValues],
    traced: mx.array,
    handed_on: dict[HandedOn, mx.array],
) -> Any:
    """Put arrays in the places of what stands for them in a layer's arguments."""
    for cache in borrowed:
        cache.lend(traced)

    def value_of(value: Any) -> Any:
        if isinstance(value, Lent):
            return value.cache.last_seen(value.which)
        return handed_on[value] if isinstance(value, HandedOn) else value

    return tree_map(value_of, call)


def leaves(tree: Any) -> list[Any]:
    """Return the leaves of a tree of tuples and lists."""
    pairs: Any = tree_flatten(tree)
    return [value for _, value in pairs]


def _with_latents(cache: Part | Several, latent: set[int]) -> Part | Several:
    parts = [Latents() if id(part) in latent else part for part in parts_of(cache)]
    return Several(parts) if isinstance(cache, Several) else parts[0]


def refusal(model: Any, why: str) -> RunError:
    """Return the error of a model that chunks do not understand."""
    return RunError(
        f"{model.model_type} cannot be trained in chunks: {why}",
        'train it on shorter episodes with memory.method = "plain"',
    )
