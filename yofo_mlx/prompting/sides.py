"""Those that answer side by side from one base model in memory, and what each of them has read."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import Cancelled, FitError, RecipeError, RunError, YofoError
from yofo_mlx.models.adapter_files import read_settings
from yofo_mlx.models.base import model_path
from yofo_mlx.prompting import loading
from yofo_mlx.prompting.context import Context, OnChunk
from yofo_mlx.prompting.fingerprint import model_fingerprint
from yofo_mlx.prompting.loading import LoadedModel, Mark, Source
from yofo_mlx.prompting.parameters import Load, Loadable
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.protocol import BASE
from yofo_mlx.recipe.names import EMBEDDED, is_folder, model_here
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.system.quantities import size

Who = tuple[Source, bool]
"""Where a model comes from, and whether its adapter is on."""


@dataclass
class Side:
    """One that answers: the base alone or with an adapter, and the demonstrations it has read."""

    name: str
    source: Source
    mark: Mark
    trained_context: int | None  # tokens
    prefix: Prefix
    last_turn: int = 0


@dataclass(frozen=True)
class Aside:
    """What one that does not answer now has read."""

    name: str
    context: Context


class Sides:
    """One base model in memory, those that answer, and what others have read before."""

    def __init__(self) -> None:
        self.present: list[Side] = []
        self._loaded: LoadedModel | None = None
        self._aside: dict[Mark, Aside] = {}  # the least recently used first
        self._told: list[str] = []
        self._turns = count(1)
        self.makes_room = False

    def load(self, wanted: Sequence[Who], *, make_room: bool = False) -> None:
        """Let these answer, their contexts empty; what others have read is put aside.

        With `make_room` they forget for each other what does not fit, and read it again.
        """
        self.makes_room = make_room
        for side in self.present:
            if side.prefix.context.tokens:
                self._aside.pop(side.mark, None)
                self._aside[side.mark] = Aside(side.name, side.prefix.context)
        self.present = []
        loaded = self._resident(*wanted[0])
        self.present = [_side(loaded, *one) for one in wanted]
        # Adapters whose files are other ones now have read nothing yet.
        now = {mark[0]: mark for side in self.present if (mark := side.mark)}
        for mark in list(self._aside):
            if mark and now.get(mark[0], mark) != mark:
                del self._aside[mark]
                self._told.append(f"the adapter in {mark[0]} is another one now")
        loaded.keep({*self._aside, *(side.mark for side in self.present)})

    def turn(self, side: Side) -> LoadedModel:
        """Let one of them answer."""
        if self._loaded is None:
            raise RunError("no model is loaded", "load one first")
        self._loaded.turn(side.source, side.mark)
        side.last_turn = next(self._turns)
        return self._loaded

    def take_back(self, side: Side) -> None:
        """Give one of them what it has read before, if it is still there."""
        if kept := self._aside.pop(side.mark, None):
            kept.context.memory_limit = side.prefix.context.memory_limit
            side.prefix.context = kept.context

    def forget(self, side: Side) -> None:
        """Drop what one of them has read before."""
        self._aside.pop(side.mark, None)

    def fill(self, side: Side, on_chunk: OnChunk) -> None:
        """Read what one of them lacks; where memory is short, what is aside goes first."""
        self.turn(side)
        while True:
            try:
                side.prefix.fill(on_chunk)
                return
            except FitError:
                if (kept := self._least_recent(side)) is None:
                    raise
                told = f"{len(kept.context.tokens)} tokens, {size(kept.context.nbytes)}"
                self._told.append(f"what {kept.name} has read ({told}) made room for {side.name}")
                kept.context.reset()
                mx.clear_cache()

    def _least_recent(self, side: Side) -> Aside | None:
        """Return whose reading may go first; what is aside is then forgotten."""
        if self._aside:
            return self._aside.pop(next(iter(self._aside)))
        others = [one for one in self.present if one is not side and one.prefix.context.tokens]
        if not (self.makes_room and others):
            return None
        oldest = min(others, key=lambda one: one.last_turn)
        return Aside(oldest.name, oldest.prefix.context)

    def told(self) -> list[str]:
        """Return what is to be told, once."""
        told, self._told = self._told, []
        return told

    def kept(self) -> list[dict[str, Any]]:
        """Return what each of them has read, and those aside, with its size."""
        there = [(side.name, side.prefix.context, True) for side in self.present]
        there += [(kept.name, kept.context, False) for kept in self._aside.values()]
        return [
            {"subject": name, "tokens": len(read.tokens), "gb": read.nbytes / 1e9, "answers": now}
            for name, read, now in there
        ]

    @contextmanager
    def named(self, side: Side) -> Iterator[None]:
        """Say of a mistake whose it is, where several answer."""
        try:
            yield
        except Cancelled:
            raise
        except YofoError as error:
            whose = f"{side.name}: "
            if len(self.present) < 2 or error.message.startswith(whose):  # one in another
                raise
            hint = f"{error.hint}; or ask one of them alone"
            if isinstance(error, FitError) and not self.makes_room:
                hint += ", or let them make room for each other (`--make-room`)"
            raise type(error)(f"{whose}{error.message}", hint) from error

    def _resident(self, source: Source, use_adapter: bool) -> LoadedModel:
        if self._loaded is None or not self._loaded.switch(source, use_adapter):
            self._loaded = None  # two models at once might not fit
            self._aside.clear()
            gc.collect()
            mx.clear_cache()
            self._loaded = loading.load(source, use_adapter)
        return self._loaded


def find(wanted: Load) -> list[Who]:
    """Return those that are to answer, the first one first; nothing is loaded yet."""
    first = loading.find_source(wanted.run, wanted.model, wanted.adapter)
    loading.check(first, wanted.use_adapter)
    sides = [(first, wanted.use_adapter)]
    for one in wanted.beside:
        side = (_source_beside(one, first), one.use_adapter)
        loading.check(*side)
        if _adapter(*side) in [_adapter(*other) for other in sides]:
            raise RecipeError(f"{name_of(*side)} answers already", "name another one beside it")
        sides.append(side)
    return sides


def name_of(source: Source, use_adapter: bool) -> str:
    """Return how one of those side by side is named: a run, an adapter's folder, or the base."""
    if not (use_adapter and source.adapter):
        return BASE
    is_of_run = source.run and source.run.adapter_path == source.adapter
    return source.run.run_id if source.run and is_of_run else str(source.adapter)


def _adapter(source: Source, use_adapter: bool) -> object:
    return source.adapter.resolve() if use_adapter and source.adapter else None


def _source_beside(one: Loadable, first: Source) -> Source:
    """Return what is to answer beside the first one, from the base that is then in memory."""
    if not (one.run or one.adapter or one.model):
        return first
    source = loading.find_source(one.run, one.model or first.model, one.adapter)
    if one.use_adapter and source.adapter:
        loading.check(source, use_adapter=True)
        name, mark = _trained_on(source)
    else:
        name, mark = source.model, ""
    mine = name_of(source, one.use_adapter)
    is_same, notes = _is(first, name, mark), source.notes
    if is_same is False:
        raise RunError(
            f"{mine} was trained on another base model: {name}",
            f"those side by side share one in memory, here {first.model}: ask it alone",
        )
    if is_same is None:
        unknown = f"{mine} was trained on {name}, which is not here"
        notes = (*notes, (unknown, f"its answers are right if that is {first.model}"))
    model, revision, trusted, dtype = first.base
    return replace(
        source,
        model=model,
        revision=revision,
        trust_remote_code=trusted,
        dtype=dtype,
        notes=notes,
    )


def _trained_on(source: Source) -> tuple[str, str]:
    """Return the name of an adapter's base, and its fingerprint where a run has kept it."""
    assert source.adapter is not None
    name = read_settings(source.adapter).base
    kept = source.run.info().model if source.run else None
    if kept and source.run and source.run.adapter_path == source.adapter:
        return kept.name, kept.fingerprint
    return (model_here(name) if name else source.model), ""


def _is(first: Source, name: str, mark: str) -> bool | None:
    """Tell whether a name or a fingerprint is the first one's base; None where nobody knows."""
    if name == first.model:
        return True
    if not mark and (name == EMBEDDED or is_folder(name)):
        mark = model_fingerprint(model_path(name))
    return mark == model_fingerprint(model_path(first.model, first.revision)) if mark else None


def _side(loaded: LoadedModel, source: Source, use_adapter: bool) -> Side:
    if not loaded.switch(source, use_adapter):
        raise RunError(
            f"{name_of(source, use_adapter)} cannot answer from {source.model} in memory",
            "ask it alone",
        )
    prefix = new_prefix(loaded)
    return Side(name_of(source, use_adapter), source, loaded.mark, loaded.context, prefix)


def new_prefix(loaded: LoadedModel) -> Prefix:
    """Return a prefix without demonstrations for who answers now."""
    base, source = loaded.base, loaded.source
    context = Context(base.model, memory_limit(source.limit_gb).nbytes)
    return Prefix(context, base.tokenizer, source.template, loaded.limit)
