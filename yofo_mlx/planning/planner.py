"""The fastest way to take a step that fits into memory, and what is refused since none does."""

from dataclasses import dataclass, replace
from math import ceil, isqrt
from pathlib import Path
from typing import Any

import mlx.core as mx

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.episodes.passes import MOST_TOGETHER, most_together
from yofo_mlx.errors import FitError
from yofo_mlx.gradients.attention import native_is_bounded
from yofo_mlx.gradients.dials import Dials
from yofo_mlx.models.base import model_path
from yofo_mlx.models.computing import computing_type
from yofo_mlx.planning.headers import model_tensors
from yofo_mlx.planning.sizes import Sizes, model_sizes
from yofo_mlx.planning.step_memory import FLOAT, Forecast, StepLoad, forecast, resident_bytes
from yofo_mlx.recipe.schema import Memory, Recipe
from yofo_mlx.runs.kinds import PlanEvent
from yofo_mlx.system.memory import FREE_NOW, MemoryLimit, memory_limit
from yofo_mlx.system.quantities import size

CHUNKS = (1024, 512, 256, 128)  # chosen: multiples of a tile of queries
TARGET_SHARE = 0.5  # of an episode's tokens, where it is not known yet; chosen: more is rare
LEAST_CACHE = 2**28  # chosen: so much freed memory is worth no system call
# A forecast may be this much too low: the lowest of 40 was 0.86 of what was measured
# (docs/benchmarks.md), and `tests/planning/test_plan.py` holds 15 % on six others.
MARGIN = 1.15
SMALLER = "take a smaller model, or one of 4 bits"


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
        return self.plan(load_of(batch))

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
    packed = packed_row(recipe, tokens) if recipe.train.packed else None
    if packed:
        shapes.append((1, packed))
    elif together := most_together(recipe.train):
        count = max(1, together // tokens)
        shapes += [(count, tokens), (count + 1, together // (count + 1))]
        shapes.append((ceil(together / shortest), shortest))
    if recipe.objective.zero_shot:
        shapes.append((ceil(MOST_TOGETHER / shortest), shortest))
    rows = recipe.objective.rows  # of an episode with other last answers
    share = 1.0 if recipe.objective.targets == "tokens" else TARGET_SHARE
    return [
        StepLoad(
            rows * count,
            length,
            int(rows * count * length * share),
            longest=min(tokens, packed) if packed and length == packed else None,
        )
        for count, length in shapes
    ]


def load_of(batch: Batch) -> StepLoad:
    """Return the load of a batch that was drawn."""
    longest = int(batch.lengths.max()) if batch.is_packed else None
    count, tokens = batch.tokens.shape
    return StepLoad(count, tokens, len(batch.targets), longest)


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
