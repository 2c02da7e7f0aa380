"""How much memory a step needs, and the fastest way to take it that fits.

Everything is computed from a model's sizes (`sizes.py`); nothing is loaded. What is kept between
the forward and the backward pass follows from the algorithm (`gradients/chunked.py`). What one
piece needs while it is evaluated is a linear function of the sizes, with factors fitted to measured
peaks of random dense models; for others it is careful.

    python benchmarks/forecast.py --models 40 --seed 3 --most-work 4e9

shows forecasts beside peaks; `--fit` prints the factors that fit those peaks best.
"""

from dataclasses import dataclass, replace
from math import ceil, isqrt
from pathlib import Path
from typing import Any

import mlx.core as mx

from yofo_mlx.episodes.passes import MOST_TOGETHER, most_together
from yofo_mlx.errors import FitError
from yofo_mlx.gradients.attention import native_is_bounded
from yofo_mlx.gradients.chunked import LOGITS_AT_ONCE
from yofo_mlx.gradients.dials import Dials, groups
from yofo_mlx.gradients.tiles import KEY_TILE, QUERY_TILE
from yofo_mlx.models.base import model_path
from yofo_mlx.models.computing import computing_type
from yofo_mlx.planning.headers import model_tensors
from yofo_mlx.planning.sizes import Sizes, WholeRows, model_sizes
from yofo_mlx.recipe.schema import Memory, Recipe
from yofo_mlx.runs.kinds import PlanEvent
from yofo_mlx.system.memory import FREE_NOW, MemoryLimit, memory_limit
from yofo_mlx.system.quantities import size

CHUNKS = (1024, 512, 256, 128)  # chosen: multiples of a tile of queries
FLOAT = 4
TARGET_SHARE = 0.5  # of an episode's tokens, where it is not known yet; chosen: more is rare
LEAST_CACHE = 2**28  # chosen: so much freed memory is worth no system call
# A forecast may be this much too low: the lowest of 40 was 0.86 of what was measured
# (docs/benchmarks.md), and `tests/planning/test_plan.py` holds 15 % on six others.
MARGIN = 1.15
SMALLER = "take a smaller model, or one of 4 bits"

# Fitted to cases with chunks: arrays alive while one layer is differentiated for one chunk, as
# multiples of (B, C, width): while its feed-forward part is, and while its attention is.
UNITS_PIECE = {"hidden": 7.34, "units": 8.16, "attention": 2.59}
ATTENTION_PIECE = {"attention": 5.4}
TILES = 8.95  # tiles of scores beside the latter
NATIVE_TILES, NATIVE_TILE = 5, 1024  # of MLX's own attention on Metal, from its source
SCORES = 6  # arrays (H, C, L) where a model computes its attention by itself; chosen, to be safe
# Fitted to cases without chunks: arrays alive when a whole model is differentiated at once, as
# multiples of (B, L, width) a layer.
WHOLE = {"hidden": 5.99, "units": 4.45, "attention": 3.42, "keys": 3.05}
LAST_UNITS = 8.36  # more of them in the layer that is being differentiated
# Experts, windows, recurrent layers: up to so many times more was measured, by no script that is
# left; `yofo plan --probe` shows forecast and peak of any model.
CARE_WHOLE, CARE_PIECE = 6, 3
LOGITS = 2.0  # arrays (targets, V) alive in the loss: logits and their gradient
TAIL = 6.5  # arrays (targets, hidden) beside them; fitted to cases with chunks


@dataclass(frozen=True)
class StepLoad:
    """The batch of a step."""

    count: int
    tokens: int
    targets: int


@dataclass(frozen=True)
class Forecast:
    """Bytes that a step needs at its worst moment, above the loaded model."""

    dials: Dials | None
    kept: int  # inputs and attention outputs of layers, between forward and backward
    keys_values: int  # of the layer at work and of those that lend theirs, with their gradients
    work: int  # of one piece, while it is evaluated
    gradients: int  # of the adapter

    @property
    def total(self) -> int:
        """All of it."""
        return self.kept + self.keys_values + self.work + self.gradients


def forecast(
    shape: Sizes, episodes: StepLoad, dials: Dials | None, *, native: bool = False
) -> Forecast:
    """Return what a step needs; without dials, with plain autograd.

    `native`: the attention is the device's own, whose outputs are not kept.
    """
    if dials is None:
        return _plain(shape, episodes)
    native = native and shape.own_attention != WholeRows.OUTSIDE  # which has tiles in training
    stages = [*_backward(shape, episodes, dials, native), _tail(shape, episodes, dials, native)]
    return max(stages, key=lambda stage: stage.total)


def resident_bytes(shape: Sizes) -> int:
    """Return what is there before a step: weights, adapter, what the optimizer keeps of it."""
    return shape.weight_bytes + (1 + shape.moments) * FLOAT * shape.adapter_parameters


def _plain(shape: Sizes, episodes: StepLoad) -> Forecast:
    tokens = episodes.count * episodes.tokens * shape.item
    kept = tokens * shape.trained * weighted(shape, WHOLE)
    work = tokens * LAST_UNITS * shape.intermediate
    work += LOGITS * episodes.targets * shape.vocabulary * FLOAT
    if not shape.fitted:
        square = episodes.count * episodes.tokens**2
        whole = shape.own_attention >= WholeRows.PLAIN
        scores = SCORES * shape.trained * shape.heads if whole else 1
        kept, work = kept * CARE_WHOLE, work * CARE_WHOLE + square * scores * FLOAT
    return Forecast(None, int(kept), 0, int(work), _gradients(shape))


def _backward(shape: Sizes, episodes: StepLoad, dials: Dials, native: bool) -> list[Forecast]:
    """Return the moment at which each group of layers begins to be differentiated."""
    layer_input, attention = _layer_bytes(shape, episodes, native)
    keys_values = _keys_values(shape, episodes)
    work = _piece(shape, episodes, dials, native)
    result = []
    cut = groups(shape.trained, dials.stash)
    for place, group in enumerate(cut):
        gradient = place < len(cut) - 1  # the last layer's is there for target rows only
        kept = (place + len(group) + gradient) * layer_input + len(group) * attention
        waiting = keys_values * FLOAT // shape.item
        result.append(Forecast(dials, kept, keys_values + waiting, work, _gradients(shape)))
    return result


def _tail(shape: Sizes, episodes: StepLoad, dials: Dials, native: bool) -> Forecast:
    """Return the moment of the loss, when everything is kept but nothing differentiated yet."""
    layer_input, attention = _layer_bytes(shape, episodes, native)
    cut = groups(shape.trained, dials.stash)
    kept = (len(cut) - 1 + len(cut[-1])) * layer_input + len(cut[-1]) * attention
    rows = min(episodes.targets, max(1, LOGITS_AT_ONCE // shape.vocabulary))
    hidden = TAIL * episodes.targets * shape.vectors * shape.hidden * shape.item
    work = LOGITS * rows * shape.vocabulary * FLOAT + hidden
    return Forecast(dials, kept, _keys_values(shape, episodes), int(work), 0)


def _layer_bytes(shape: Sizes, episodes: StepLoad, native: bool) -> tuple[int, int]:
    """Return the bytes of a layer's input, and of its attention's output and logsumexp."""
    tokens = episodes.count * episodes.tokens
    output = shape.heads * (shape.head_dim * shape.item + FLOAT)
    hidden = shape.vectors * shape.hidden
    return tokens * hidden * shape.item, 0 if native else tokens * output


def _keys_values(shape: Sizes, episodes: StepLoad) -> int:
    width = 2 * shape.kv_heads * shape.head_dim * (1 + shape.lenders)
    return episodes.count * episodes.tokens * width * shape.item


def _piece(shape: Sizes, episodes: StepLoad, dials: Dials, native: bool) -> int:
    """Return what is alive while a layer is differentiated for a chunk, at the worst moment."""
    chunk = min(dials.chunk, episodes.tokens)
    tokens = episodes.count * chunk * shape.item
    heads = episodes.count * shape.heads
    whole = shape.own_attention == WholeRows.ALWAYS
    if whole:
        scores = SCORES * heads * chunk * episodes.tokens * FLOAT
    elif native:
        scores = NATIVE_TILES * heads * min(NATIVE_TILE, chunk) * NATIVE_TILE * shape.item
    else:
        keys = KEY_TILE if episodes.tokens > chunk else QUERY_TILE  # a chunk's own are cut finer
        scores = int(TILES * heads * min(QUERY_TILE, chunk) * min(keys, chunk) * FLOAT)
    attention = tokens * weighted(shape, ATTENTION_PIECE) + scores
    care = 1 if shape.fitted or whole else CARE_PIECE
    return int(care * max(tokens * weighted(shape, UNITS_PIECE), attention))


def weighted(shape: Sizes, factors: dict[str, float]) -> float:
    """Return a sum of a model's widths, each times its factor."""
    widths = {
        "hidden": shape.vectors * shape.hidden,
        "units": shape.intermediate,
        "attention": shape.heads * shape.head_dim,
        "keys": shape.kv_heads * shape.head_dim,
    }
    return sum(factor * widths[name] for name, factor in factors.items())


def _gradients(shape: Sizes) -> int:
    return FLOAT * shape.adapter_parameters


def candidates(
    shape: Sizes, memory: Memory, tokens: int, largest_chunk: int | None = None
) -> list[Dials | None]:
    """Return the ways to take a step that a recipe allows, the fastest first.

    `largest_chunk`: more was tried and ran out of memory, whatever the recipe says.
    """
    chunks = [memory.chunk] if memory.chunk else [c for c in CHUNKS if c < tokens] or [CHUNKS[-1]]
    if largest_chunk:
        chunks = [chunk for chunk in chunks if chunk <= largest_chunk] or [largest_chunk]
    thinnest = isqrt(shape.trained - 1) + 1
    stashes = [memory.stash] if memory.stash else [shape.trained, *range(1, thinnest + 1)]
    ways: list[Dials | None] = [None]
    if memory.method == "chunked" or memory.chunk or memory.stash or largest_chunk:
        ways = []
    if memory.method != "plain" or largest_chunk:
        ways += [Dials(chunk, stash) for stash in stashes for chunk in chunks]
    return ways


@dataclass(frozen=True)
class Planner:
    """Picks the way to take each step: the fastest whose forecast is below the limit."""

    shape: Sizes
    memory: Memory
    limit: int  # bytes, for model and step together
    native: bool = False
    largest_chunk: int | None = None  # a run that died out of memory goes on with it
    source: str = ""  # of the limit, in words

    def plan(self, episodes: StepLoad) -> Forecast:
        """Return the forecast of the way that a step is taken; of the thinnest if none fits."""
        ways = [
            forecast(self.shape, episodes, dials, native=self.native)
            for dials in candidates(self.shape, self.memory, episodes.tokens, self.largest_chunk)
        ]
        fitting = [way for way in ways if self.fits(way)]
        return fitting[0] if fitting else min(ways, key=lambda way: way.total)

    def plan_batch(self, batch: Any) -> Forecast:
        """Return the forecast of the way that a batch is taken."""
        count, tokens = batch.tokens.shape
        return self.plan(StepLoad(count, tokens, len(batch.targets)))

    def dials(self, batch: Any) -> Dials | None:
        """Return the dials for a batch; None for plain autograd."""
        return self.plan_batch(batch).dials

    def fits(self, way: Forecast) -> bool:
        """Tell whether a step fits beside the model."""
        return self.needed(way) <= self.limit

    def needed(self, way: Forecast) -> int:
        """Return the bytes that have to be there for a step, model included."""
        return self.with_margin(way.total)

    def with_margin(self, nbytes: int) -> int:
        """Return the bytes that have to be there for so many above the model."""
        return int(resident_bytes(self.shape) + MARGIN * nbytes)

    def cache_bytes(self, way: Forecast) -> int:
        """Return how much freed memory MLX may hold on to: a step's worth, if the limit leaves it.

        Without a bound it grows with every new length of an episode.
        """
        left = self.limit - resident_bytes(self.shape) - way.total
        return max(min(left, way.total), LEAST_CACHE)

    def longest(self, recipe: Recipe) -> int:
        """Return the longest episode of a recipe, in tokens, whose step fits; 0 if none does."""
        low, high = 0, 2**24
        while low < high:
            middle = (low + high + 1) // 2
            if self.fits(self._largest(recipe, middle)):
                low = middle
            else:
                high = middle - 1
        return low

    def longest_step(self, recipe: Recipe) -> Forecast:
        """Return the forecast of a recipe's longest step."""
        return self._largest(recipe, recipe.episodes.max_tokens)

    def _largest(self, recipe: Recipe, tokens: int) -> Forecast:
        """Return the forecast of the largest pass, if episodes have at most so many tokens."""
        ways = [self.plan(batch) for batch in _batches_of(recipe, tokens)]
        return max(ways, key=lambda way: way.total)

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe whose longest step cannot fit."""
        way = self.longest_step(recipe)
        if self.fits(way):
            return
        longest = self.longest(recipe)
        raise FitError(
            f"episodes.max_tokens = {recipe.episodes.max_tokens} would need"
            f" {size(self.needed(way))} of memory; there are {size(self.limit)}"
            + (f" ({self.source})" if self.source else ""),
            ("close other programs; or: " if FREE_NOW in self.source else "")
            + remedy(recipe, longest),
        )


def remedy(recipe: Recipe, longest: int) -> str:
    """Return what to do where the longest step does not fit, but one of `longest` tokens would."""
    if longest:
        return f"episodes.max_tokens = {longest} would fit"
    return f"lower train.batch_tokens, or {SMALLER}" if recipe.train.batch_tokens else SMALLER


def _batches_of(recipe: Recipe, tokens: int) -> list[StepLoad]:
    """Return the largest batches of episodes up to some length; their targets are not known yet.

    Where an update is given in tokens: one such episode, the longest of which several make a pass,
    and many that are shorter than any chunk; or a row that all share, if they are packed.
    """
    shapes = [(recipe.train.batch_size, tokens)]
    shortest = min(tokens, CHUNKS[-1])
    if recipe.train.packed:
        shapes.append((1, packed_row(recipe, tokens)))
    elif together := most_together(recipe.train):
        count = max(1, together // tokens)
        shapes += [(count, tokens), (count + 1, together // (count + 1))]
        shapes.append((ceil(together / shortest), shortest))
    if recipe.objective.zero_shot:
        shapes.append((ceil(MOST_TOGETHER / shortest), shortest))
    rows = recipe.objective.rows  # of an episode with other last answers
    share = 1.0 if recipe.objective.targets == "tokens" else TARGET_SHARE
    return [
        StepLoad(rows * count, length, int(rows * count * length * share))
        for count, length in shapes
    ]


def packed_row(recipe: Recipe, tokens: int) -> int:
    """Return the most tokens of a row that several episodes of at most so many share."""
    # Half of the last episode at most is beyond what an update was to have.
    return min(most_together(recipe.train), (recipe.train.batch_tokens or 0) + tokens // 2)


def describe_plan(planner: Planner, way: Forecast) -> PlanEvent:
    """Return a forecast as an event."""
    return PlanEvent(
        chunk=way.dials.chunk if way.dials else None,
        stash=way.dials.stash if way.dials else None,
        model_gb=as_gb(resident_bytes(planner.shape)),
        step_gb=as_gb(way.total),
        limit_gb=as_gb(planner.limit),
        native_attention=planner.native,
    )


def describe_parts(shape: Sizes, way: Forecast, tokens: int) -> dict[str, float]:
    """Return what the memory is needed for, in GB; all but the last add up to the peak.

    The last is what the keys and values of `tokens` tokens take in all layers, when prompting.
    """
    width = 2 * shape.kv_heads * shape.head_dim * shape.item
    return {
        "weights_gb": as_gb(shape.weight_bytes),
        "adapter_gb": as_gb(FLOAT * shape.adapter_parameters),
        "optimizer_gb": as_gb(shape.moments * FLOAT * shape.adapter_parameters),
        "gradients_gb": as_gb(way.gradients),
        "keys_values_gb": as_gb(way.keys_values),
        "activations_kept_gb": as_gb(way.kept),
        "activations_work_gb": as_gb(way.work),
        "kv_cache_gb": as_gb(tokens * width * shape.layers),
    }


def as_gb(nbytes: float) -> float:
    """Return bytes in GB (1e9 bytes), to the kB."""
    return round(nbytes / 1e9, 6)


def beyond_context(max_tokens: int, context: int | None) -> tuple[str, str] | None:
    """Return a warning, as message and hint, if episodes may be longer than a model's context."""
    if not context or max_tokens <= context:
        return None
    return (
        f"episodes may have {max_tokens} tokens; the model was trained on at most {context}",
        f"it may not use what is further back: set episodes.max_tokens = {context}",
    )


def make_planner(
    recipe: Recipe,
    model: Path | None = None,
    limit: MemoryLimit | None = None,
    largest_chunk: int | None = None,
) -> Planner:
    """Return the planner of a recipe on this machine, from a model's headers alone.

    `model`: its directory, where it is known; weights are not downloaded. `limit`: what is to be
    gone by in place of the recipe's, or of what the device gives.
    """
    model = model or model_path(recipe.model, recipe.revision, weights=False)
    tensors = model_tensors(recipe.model, model)
    computed = computing_type(recipe.dtype)
    item = computed.size if computed else None
    shape = model_sizes(model, recipe.lora, item=item, tensors=tensors)
    if recipe.optimizer.importance:
        shape = replace(shape, moments=3)  # the sums of gradients are those of half the adapter
    limit = limit or memory_limit(recipe.memory.limit_gb)
    dtype = computed or (mx.float32 if shape.item == FLOAT else mx.bfloat16)
    native = native_is_bounded(shape.head_dim, shape.head_dim, dtype)
    return Planner(shape, recipe.memory, limit.nbytes, native, largest_chunk, limit.source)
