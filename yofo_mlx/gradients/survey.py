"""What the layers of a model take and hand on, seen on two tokens that are never computed.

Everything that chunks need to know of an unmodified model is found out here: which caches belong to
which layer, which layers read the keys and values of earlier ones, what else goes from layer to
layer. What is not understood is refused by name.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_map

from yofo_mlx.errors import RunError
from yofo_mlx.gradients.attention import attending, noting
from yofo_mlx.gradients.layer_cache import (
    KeyValues,
    Latents,
    Lent,
    Part,
    Several,
    caches_for,
    parts_of,
)
from yofo_mlx.models.layers import StandIn, lists_of_layers

Given = list[Part | Several]


@dataclass(frozen=True)
class Constant:
    """Stands for an array of integers that an earlier layer hands on beside its output."""

    layer: int
    place: int


@dataclass
class LayerFacts:
    """What is known of a layer."""

    parts: list[Part] = field(default_factory=list)
    borrowed: list[KeyValues] = field(default_factory=list)  # whose keys and values it reads
    extras: list[Any] = field(default_factory=list)  # what stands for what it returns beside x
    constants: set[int] = field(default_factory=set)  # places of its output that later layers take


class Spy(StandIn):
    """Calls a layer and notes what went in and came out, by identity."""

    def __init__(self, layer: Any, survey: "Survey") -> None:
        super().__init__(layer)
        self._survey = survey
        self.calls = 0
        self.facts = LayerFacts()
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.fetched: dict[int, Lent] = {}  # by the id of an array
        self.attentions: list[tuple[mx.array, Any]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer."""
        self.calls += 1
        self.inputs = [*args, *kwargs.values()]
        self._survey.assign(self)
        args, kwargs = resolved((args, kwargs), self.facts.borrowed, mx.array(0.0), {})
        with attending([*self.facts.parts, *self.facts.borrowed], None):
            with noting(self.attentions):
                result = self._layer(*args, **kwargs)
            for cache in self.facts.parts:
                if isinstance(cache, KeyValues):
                    for which in (0, 1):
                        self.fetched[id(cache.last_seen(which))] = Lent(cache, which)
        self.outputs = list(result) if isinstance(result, tuple) else [result]
        return result

    @property
    def has_latents(self) -> bool:
        """Tell whether all its attentions expand what the cache has and add scores of positions."""
        keys = [part for part in self.facts.parts if isinstance(part, KeyValues)]
        return len(self.attentions) == len(keys) > 0 and all(
            id(k) not in self.fetched and isinstance(mask, mx.array) and mask.dtype != mx.bool_
            for k, mask in self.attentions
        )


class Survey:
    """One look at a model: `given` are its caches, `facts` those of each layer."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.layers = list(model.layers)
        self.homes = [(home, list(home)) for home in lists_of_layers(model)]
        held = {id(item) for _, items in self.homes for item in items}
        if any(id(layer) not in held for layer in self.layers):
            raise refusal(model, "its layers are in no list")
        self.given = caches_for(model)
        self._spies: list[Spy] = []
        spies = self._look()
        if any(spy.has_latents for spy in spies):
            latent = {id(part) for spy in spies if spy.has_latents for part in spy.facts.parts}
            self.given = [_with_latents(cache, latent) for cache in self.given]
            spies = self._look()
        self._check(spies)
        self._connect(spies)
        self.facts = [spy.facts for spy in spies]

    def _look(self) -> list[Spy]:
        """Run two tokens, unevaluated."""
        for cache in self.given:
            for part in parts_of(cache):
                part.offset = 0
                part.open([(0, 2)])
        self._spies = [Spy(layer, self) for layer in self.layers]
        with self.replaced(self._spies):
            self.model(mx.zeros((1, 2), dtype=mx.int32), cache=list(self.given))
        for cache in self.given:
            for part in parts_of(cache):
                part.open([])
        return self._spies

    def assign(self, spy: Spy) -> None:
        """Find a layer's caches among what it is called with, its own and those it borrows."""
        handed = [cache for cache in self.given if any(value is cache for value in spy.inputs)]
        known = {id(part) for other in self._spies for part in other.facts.parts}
        for part in (part for cache in handed for part in parts_of(cache)):
            if id(part) not in known:
                spy.facts.parts.append(part)
            elif isinstance(part, KeyValues):
                spy.facts.borrowed.append(part)
        fetched = {key: lent for other in self._spies for key, lent in other.fetched.items()}
        for _, value in tree_flatten(spy.inputs[1:]):
            lent = value if isinstance(value, Lent) else fetched.get(id(value))
            if lent and lent.cache not in spy.facts.borrowed:
                spy.facts.borrowed.append(lent.cache)

    def _check(self, spies: Sequence[Spy]) -> None:
        model = self.model
        if any(spy.calls != 1 for spy in spies):
            raise refusal(model, "its layers are not run once each")
        for before, after in pairwise(spies):
            if after.inputs[0] is not before.outputs[0]:
                raise refusal(model, "something happens between its layers")
        if any(spy.outputs[0].shape[-3:-1] != (1, 2) for spy in spies):
            raise refusal(model, "its layers do not hand on vectors of tokens")
        used = {id(part) for spy in spies for part in spy.facts.parts}
        if any(id(part) not in used for cache in self.given for part in parts_of(cache)):
            raise refusal(model, "its layers do not take all of its caches")

    def _connect(self, spies: Sequence[Spy]) -> None:
        """Find what stands for the outputs that layers return beside x, and who takes them."""
        places: dict[int, Constant] = {}
        fetched: dict[int, Lent] = {}
        for index, spy in enumerate(spies):
            for value in (value for _, value in tree_flatten(spy.inputs[1:])):
                if isinstance(value, mx.array) and (constant := places.get(id(value))):
                    if mx.issubdtype(value.dtype, mx.floating):
                        raise refusal(self.model, "its layers hand on more than hidden states")
                    spies[constant.layer].facts.constants.add(constant.place)
            for cache in spy.facts.borrowed:
                cache.lent = True
            fetched |= spy.fetched
            for place, extra in enumerate(spy.outputs[1:], start=1):
                for _, value in tree_flatten([extra]):
                    if isinstance(value, mx.array) and id(value) not in fetched:
                        places.setdefault(id(value), Constant(index, place))
            spy.facts.extras = [
                tree_map(lambda value: fetched.get(id(value), places.get(id(value))), extra)
                for extra in spy.outputs[1:]
            ]

    @contextmanager
    def replaced(self, layers: Sequence[Any]) -> Iterator[None]:
        """Let others stand for the layers."""
        others = {id(layer): other for layer, other in zip(self.layers, layers, strict=True)}
        for home, items in self.homes:
            home[:] = [others.get(id(item), item) for item in items]
        try:
            yield
        finally:
            for home, items in self.homes:
                home[:] = items


def resolved(
    call: Any, borrowed: Sequence[KeyValues], traced: mx.array, constants: dict[Constant, mx.array]
) -> Any:
    """Put arrays in the places of what stands for them in a layer's arguments."""
    if not borrowed and not constants:
        return call
    for cache in borrowed:
        cache.lend(traced)

    def value_of(value: Any) -> Any:
        if isinstance(value, Lent):
            return value.cache.last_seen(value.which)
        return constants[value] if isinstance(value, Constant) else value

    return tree_map(value_of, call)


def _with_latents(cache: Part | Several, latent: set[int]) -> Part | Several:
    parts = [Latents() if id(part) in latent else part for part in parts_of(cache)]
    return Several(parts) if isinstance(cache, Several) else parts[0]


def refusal(model: Any, why: str) -> RunError:
    """Return the error of a model that chunks do not understand."""
    return RunError(
        f"{model.model_type} cannot be trained in chunks: {why}",
        'train it on shorter episodes with memory.method = "plain"',
    )
