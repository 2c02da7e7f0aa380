"""How much memory a step needs, computed from a model's sizes (`sizes.py`); nothing is loaded.

What is kept between the forward and the backward pass follows from the algorithm
(`gradients/chunked.py`). What one piece needs while it is evaluated is a linear function of the
sizes, with factors fitted to measured peaks of random dense models; for others it is careful.

    python benchmarks/forecast.py --models 40 --seed 3 --most-work 4e9

shows forecasts beside peaks; `--fit` prints the factors that fit those peaks best.
"""

from dataclasses import dataclass, replace

import mlx.core as mx

from yofo_mlx.gradients.chunked import LOGITS_AT_ONCE
from yofo_mlx.gradients.dials import Dials, groups
from yofo_mlx.gradients.tiles import KEY_TILE, QUERY_TILE
from yofo_mlx.planning.sizes import Sizes, WholeRows

FLOAT = 4

# Fitted to cases with chunks: arrays alive while one layer is differentiated for one chunk, as
# multiples of (B, C, width): while its feed-forward part is, and while its attention is.
UNITS_PIECE = {"hidden": 4.46, "units": 8.3, "attention": 2.87}
ATTENTION_PIECE = {"attention": 5.13, "keys": 5.24}
TILES = 2.8  # tiles of scores beside the latter
LONE_TILE = 4.4  # and where an episode is a single one; measured 3.5 to 4.7
# The same where tiles are not evaluated one by one, as they are on a CPU: fitted to one that did
# not do it yet on the way back.
LAZY_UNITS_PIECE = {"hidden": 7.34, "units": 8.16, "attention": 2.59}
LAZY_ATTENTION_PIECE = {"attention": 5.4}
LAZY_TILES, LAZY_LONE_TILE = 8.95, 6.5
NATIVE_TILES, NATIVE_TILE = 5, 1024  # of MLX's own attention on Metal, from its source
SCORES = 6  # arrays (H, C, L) where a model computes its attention by itself; chosen, to be safe
# Fitted to cases without chunks: arrays alive when a whole model is differentiated at once, as
# multiples of (B, L, width) a layer.
WHOLE = {"hidden": 5.99, "units": 4.45, "attention": 3.42, "keys": 3.05}
LAST_UNITS = 8.36  # more of them in the layer that is being differentiated
# Arrays in float32 beside them in a model of half precision, which the way of a float32 model has
# not: norms, positions and tiles compute in it, and so does LoRA. Fitted to 60 cases in bfloat16
# with the factors above as they are, then rounded up.
WIDE_WHOLE = {"hidden": 1.4, "attention": 0.3, "keys": 0.5}  # a layer
WIDE_LAST = {"hidden": 5.0, "units": 0.8, "attention": 2.4}  # the layer that is differentiated
WIDE_UNITS_PIECE = {"hidden": 4.0, "units": 2.8}
WIDE_ATTENTION_PIECE = {"attention": 0.3, "keys": 4.0}
# Experts, windows, recurrent layers: up to so many times more was measured, by no script that is
# left; `yofo plan --probe` shows forecast and peak of any model.
CARE_WHOLE, CARE_PIECE = 6, 3
LOGITS = 2.0  # arrays (targets, V) alive in the loss: logits and their gradient
LOGITS_HALF = 2.0  # and both once more in the type of a model of half precision
TAIL = 6.5  # arrays (targets, hidden) beside them; fitted to cases with chunks


@dataclass(frozen=True)
class StepLoad:
    """The batch of a step."""

    count: int
    tokens: int
    targets: int
    longest: int | None = None  # tokens of the longest episode of a packed row

    def parts(self, chunk: int) -> list["StepLoad"]:
        """Return what is taken in chunks at once, at most: of a packed row few episodes."""
        if self.longest is None:
            return [self]
        # As many as make a chunk, or a long one alone: those as long as a tile have most scores.
        lengths = {self.longest, min(self.longest, QUERY_TILE)}
        shapes = [(max(1, min(chunk, self.tokens) // length), length) for length in lengths]
        return [StepLoad(count, n, min(self.targets, count * n)) for count, n in shapes]


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
    stages = []
    for part in episodes.parts(dials.chunk):
        stages += [*_backward(shape, part, dials, native), _tail(shape, part, dials, native)]
    if episodes.longest is None:
        return max(stages, key=lambda stage: stage.total)
    summed = _gradients(shape)  # of the parts before
    stages = [replace(stage, gradients=stage.gradients + summed) for stage in stages]
    return max(stages, key=lambda stage: stage.total)


def resident_bytes(shape: Sizes) -> int:
    """Return what is there before a step: weights, adapter, what the optimizer keeps of it."""
    return shape.weight_bytes + (1 + shape.moments) * FLOAT * shape.adapter_parameters


def _plain(shape: Sizes, episodes: StepLoad) -> Forecast:
    tokens = episodes.count * episodes.tokens
    kept = tokens * shape.trained * _bytes(shape, WHOLE, WIDE_WHOLE)
    work = tokens * _bytes(shape, {"units": LAST_UNITS}, WIDE_LAST)
    work += episodes.targets * _logit_bytes(shape) * shape.vocabulary
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
    work = rows * _logit_bytes(shape) * shape.vocabulary + hidden
    return Forecast(dials, kept, _keys_values(shape, episodes), int(work), 0)


def _logit_bytes(shape: Sizes) -> float:
    return LOGITS * FLOAT + (0 if shape.item == FLOAT else LOGITS_HALF * shape.item)


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
    tokens = episodes.count * chunk
    heads = episodes.count * shape.heads
    whole = shape.own_attention == WholeRows.ALWAYS
    lazily = native or mx.default_device() != mx.cpu
    if whole:
        scores = SCORES * heads * chunk * episodes.tokens * FLOAT
    elif native:
        scores = NATIVE_TILES * heads * min(NATIVE_TILE, chunk) * NATIVE_TILE * shape.item
    else:
        keys = KEY_TILE if episodes.tokens > chunk else QUERY_TILE  # a chunk's own are cut finer
        several, lone = (LAZY_TILES, LAZY_LONE_TILE) if lazily else (TILES, LONE_TILE)
        tiles = several if episodes.tokens > QUERY_TILE else lone
        scores = int(tiles * heads * min(QUERY_TILE, chunk) * min(keys, chunk) * FLOAT)
    of_attention = LAZY_ATTENTION_PIECE if lazily else ATTENTION_PIECE
    of_units = LAZY_UNITS_PIECE if lazily else UNITS_PIECE
    attention = tokens * _bytes(shape, of_attention, WIDE_ATTENTION_PIECE) + scores
    units = tokens * _bytes(shape, of_units, WIDE_UNITS_PIECE)
    care = 1 if shape.fitted or whole else CARE_PIECE
    return int(care * max(units, attention))


def _bytes(shape: Sizes, factors: dict[str, float], wide: dict[str, float]) -> float:
    """Return the bytes of a token's arrays in the type that is computed in, and of wide ones."""
    found = shape.item * weighted(shape, factors)
    return found if shape.item == FLOAT else found + FLOAT * weighted(shape, wide)


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
