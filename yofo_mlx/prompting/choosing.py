"""What a session says of the demonstrations it has chosen, in numbers and in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from yofo_mlx.prompting.selection import Choice, as_given
from yofo_mlx.recipe.ways import Way
from yofo_mlx.system.text import shorten, some_of
from yofo_mlx.tasks.task import Example

Shots = int | Literal["all"] | None

TAIL = 16  # similar demonstrations behind a bulk, unless fewer shots are asked for

UNASKED_TOKENS = 4096  # read of many demonstrations by a model whose episodes nobody knows
_MOST_SHOTS = 10**12
_SHOWN_LABELS = 100
_SHOWN_DISPLACED = 4


def shots_of(text: str) -> Shots:
    """Return how many shots a user asks for, None where that is no number and not `all`."""
    if not text.isdecimal():
        return "all" if text == "all" else None
    return int(text) if len(text) < 12 else _MOST_SHOTS  # int() refuses very many digits


@dataclass(frozen=True)
class Bound:
    """The tokens that demonstrations may take, and what says so."""

    tokens: int | None
    kind: Literal["trained", "default", "context"]

    @property
    def words(self) -> str:
        """Say what holds no more."""
        if self.kind == "trained":
            return f"the longest training episode holds ({self.tokens:,} tokens)"
        if self.kind == "default":
            return f"{self.tokens:,} tokens hold, unless more are asked for"
        return f"the model's context holds ({self.tokens:,} tokens)"


def bound_of(shots: Shots, trained: int | None, context: int | None) -> Bound:
    """Return the bound: what was trained, unless a number of shots is asked for."""
    if shots is not None:
        return Bound(context, "context")
    tokens = trained or UNASKED_TOKENS
    if context is not None and context <= tokens:
        return Bound(context, "context")
    return Bound(tokens, "trained" if trained else "default")


@dataclass(frozen=True)
class Division:
    """How many shots all queries see, and how many each one has of its own; None: all that fit."""

    bulk: int | None
    tail: int | None

    @property
    def has_tail(self) -> bool:
        """Tell whether queries see demonstrations of their own."""
        return self.tail != 0

    @property
    def has_bulk(self) -> bool:
        """Tell whether there may be some that all queries see."""
        return self.bulk != 0 or not self.has_tail


def division_of(way: Way, shots: int | None) -> Division:
    """Divide so many shots, None: all that fit, by the way they are chosen."""
    if way in ("similar", "adaptive"):
        return Division(0, shots)
    if way == "tail":
        tail = TAIL if shots is None else min(TAIL, shots // 2)
        return Division(None if shots is None else shots - tail, tail)
    return Division(shots, 0)


def facts_of_tail(way: Way, division: Division, offered: int) -> Any:
    """Return what a session tells of the demonstrations that each query has of its own."""
    told = []
    if division.has_tail and offered:
        most = "as many as fit" if division.tail is None else f"at most {division.tail:,}"
        if way == "adaptive":
            most += ", until its answer is certain enough"
        behind = " behind these" if division.has_bulk else ""
        told = [f"each query sees{behind} those of {offered:,} that are most like it: {most}"]
    return {"choose": way, "tail_shots": division.tail, "told": told}


def facts(choice: Choice, offered: Sequence[Example], shots: Shots, bound: Bound, seed: int) -> Any:
    """Return what was chosen of what was offered, as a session's result tells it."""
    places = {example: place for place, example in reversed(list(enumerate(offered)))}
    return {
        "shots": len(choice.examples),
        "offered": choice.offered,
        "chosen": [places[example] for example in choice.examples],
        "left_out": choice.offered - len(choice.examples),
        "reasons": {
            "doublets": choice.doublets,
            "too_long": choice.too_long,
            "unused": choice.unused,
        },
        "labels": choice.labels,
        "labels_missing": list(choice.labels_missing),
        "seed": seed,
        "bound": "shots" if len(choice.examples) == shots else bound.kind,
        "told": list(_told(choice, shots, bound, seed)),
    }


def facts_of_file(examples: Sequence[Example]) -> Any:
    """Return the same of demonstrations that come from a prompt cache, just as they stand there."""
    bound = Bound(None, "context")
    return facts(as_given(examples), examples, "all", bound, 0) | {
        "seed": None,
        "told": [],
    }


def facts_of_blocks(order: Sequence[Example], offered: Sequence[Example], seed: int) -> Any:
    """Return what a session tells of demonstrations in blocks, of which each query sees some."""
    choice = as_given(order)
    found = facts(choice, offered, "all", Bound(None, "context"), seed)
    unused = len(dict.fromkeys(offered)) - len(order)
    reasons = {"doublets": len(offered) - len(order) - unused, "too_long": 0, "unused": unused}
    found |= {"offered": len(offered), "left_out": len(offered) - len(order), "reasons": reasons}
    return found | {"choose": "blocks", "tail_shots": 0, "told": []}


def _told(choice: Choice, shots: Shots, bound: Bound, seed: int) -> Iterator[str]:
    shown = len(choice.examples)
    turns = f", in turn from {choice.labels:,} labels" if choice.labels > 1 else ""
    if choice.unused:
        why = "were asked for" if shown == shots else bound.words
        yield f"{shown:,} of {choice.offered:,} chosen with seed {seed}{turns}: as many as {why}"
    elif shown > 1 and not choice.stayed:
        yield f"all {shown:,} in an order drawn with seed {seed}{turns}"
    if gone := choice.displaced:
        pairs = [shorten(f"{one.input} -> {one.output}", 60) for one in gone]
        names = some_of(pairs, _SHOWN_DISPLACED)
        yield f"no longer shown, since there is no room for them: {names}"
    if shown and (missing := choice.labels_missing):
        names = some_of([shorten(label, 40) for label in missing], _SHOWN_LABELS)
        yield f"without a demonstration are {len(missing):,} of the labels: {names}"
    if choice.doublets:
        yield f"doublets left out: {choice.doublets:,}"
    if choice.contradictions:
        yield f"inputs with more than one answer: {choice.contradictions:,}"
    if choice.too_long:
        yield f"{choice.too_long:,} do not fit, and are left out"
