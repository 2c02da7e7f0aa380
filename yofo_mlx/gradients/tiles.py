"""Exact attention by tiles of queries and keys, with its own gradient.

The forward pass keeps a running maximum and, per query, the logarithm of the sum of exponents; the
backward pass recomputes a tile's probabilities from it (FlashAttention-2, arXiv 2307.08691).
No array ever has both lengths as its sides. Exponents are to base 2: on a CPU MLX computes
`power(2, x)` three times as fast as `exp(x)` (125 against 46 million a second on two cores), and
NumPy faster again, which needs each tile evaluated at once (`exponents.py`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import mlx.core as mx
import numpy as np

from yofo_mlx.gradients.exponents import AtOnce, Lazily
from yofo_mlx.system.powers import NEGLIGIBLE

# Chosen. `benchmarks/train_step.py --model DIR --tokens 8192 --chunk 256 --stash 4` times others; a
# tile's scores of all heads are memory of a piece, so `planner.TILES` has to be fitted again then.
QUERY_TILE = 128
KEY_TILE = 512
LOG2_E = math.log2(math.e)
MASKED = -1e30  # not -inf: a row that sees nothing would be inf - inf = NaN
TINY = 1e-30  # keeps the same row from 0 / 0

Mask = Any  # None, "causal" (aligned to the last key), or an array over (..., queries, keys)
Span = tuple[int, int]
Postponed = list[Callable[[], None]]


@dataclass(frozen=True)
class Tile:
    """A rectangle of the score matrix and what may be seen in it (None: all)."""

    queries: Span
    keys: Span
    mask: mx.array | None


@dataclass(frozen=True)
class Earlier:
    """Keys and values before those of a chunk, by span, and where to send their gradients."""

    keys: mx.array  # the chunk's own
    values: mx.array
    spans: list[Span]
    buffers: list[mx.array]
    send: Callable[[int, Span, mx.array], mx.array]
    received: Callable[[int, Span, mx.array], mx.array]


def attend(
    q: mx.array,
    k: mx.array,
    v: mx.array,
    *,
    scale: float,
    mask: Mask = None,
    sinks: mx.array | None = None,
    cap: float | None = None,
    earlier: Earlier | None = None,
    kept: tuple[mx.array, mx.array] | None = None,
    at_once: bool = False,
    postponed: Postponed | None = None,
) -> tuple[mx.array, mx.array]:
    """Return the attention's output (B, H, Lq, D_v) and its base-2 logsumexp (B, H, Lq).

    q (B, H, Lq, D), k (B, H_kv, Lk, D), v (B, H_kv, Lk, D_v); sinks (H,) are further logits.
    The output is equal, and so are its gradients, to 1e-5 of an array's largest element, to

        k, v = (mx.repeat(x, H // H_kv, axis=1) for x in (k, v))
        scores = scale * q @ k.swapaxes(-1, -2)                      # (B, H, Lq, Lk)
        scores = cap * mx.tanh(scores / cap) if cap else scores
        scores = mx.where(mask, scores, -mx.inf)
        output = mx.softmax(scores, axis=-1) @ v

    where "causal" is the mask `mx.tri(Lq, Lk, Lk - Lq)`, an array of floats is added to the scores
    instead, a query that sees nothing gets zeros, and sinks are columns of scores without values.
    With `earlier`, k and v are its last Lq keys and values only.
    `kept` are an earlier call's results for the same arguments: nothing is computed but gradients.
    `at_once`: each tile is evaluated as soon as it is there, in half the time on a CPU; not for a
    function that is being differentiated, for then every tile would stay in memory.
    `postponed` is given what computes the gradients, at once. It has to be called when `mx.vjp` has
    returned, before anything is evaluated: until then the gradients are arrays of zeros.
    """
    settings = TileSettings(scale, mask, earlier, cap, AtOnce() if at_once else Lazily())

    # What is differentiated has to be an argument: a captured array would get no gradient, unsaid.
    @mx.custom_function
    def run(q: mx.array, k: mx.array, v: mx.array, *sinks: mx.array) -> tuple[mx.array, mx.array]:
        return kept or _forward(q, k, v, settings, *sinks)

    @run.vjp
    def run_vjp(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, ...]:
        q, k, v, *sinks = primals
        if postponed is None:
            return _backward(q, k, v, settings, sinks, cotangents[0], *outputs)
        return _postpone(postponed, primals, settings, cotangents[0], outputs)

    arguments = (q, k, v) if sinks is None else (q, k, v, sinks)
    result: Any = run(*arguments)
    return result[0], result[1]


@dataclass(frozen=True)
class TileSettings:
    """What an attention needs beside its arrays."""

    scale: float
    mask: Mask
    earlier: Earlier | None
    cap: float | None = None
    each: Lazily = field(default_factory=Lazily)

    def capped(self, scores: mx.array) -> mx.array:
        """Return base-2 scores between -cap and cap, smoothly, where there is a cap."""
        if not self.cap:
            return scores
        cap = self.cap * LOG2_E
        return cap * mx.tanh(scores / cap)

    def slope(self, capped: mx.array) -> mx.array | None:
        """Return the derivative of what `capped` made of the scores by them; None: all 1."""
        if not self.cap:
            return None
        return self.each.still(1.0 - mx.square(capped / (self.cap * LOG2_E)))

    def part(self, which: int, own: mx.array, span: Span) -> mx.array:
        """Return the keys (0) or values (1) of a span in float32; `own` are the chunk's."""
        if self.earlier is None:
            return _cut(own, span)
        before = _length(self.earlier)
        if span[0] < before:
            return _cut(self.earlier.buffers[which], span)
        return _cut(own, (span[0] - before, span[1] - before))


def _postpone(
    postponed: Postponed,
    primals: Sequence[mx.array],
    settings: TileSettings,
    d_output: mx.array,
    outputs: Sequence[mx.array],
) -> tuple[mx.array, ...]:
    """Return arrays that will hold the cotangents of q, k, v and sinks; note what fills them."""
    later = replace(settings, each=AtOnce())
    gradients = [mx.zeros(array.shape) for array in primals]

    def fill() -> None:
        mx.eval(primals, d_output, outputs)
        q, k, v, *sinks = primals
        found = _backward(q, k, v, later, sinks, d_output, *outputs)
        for gradient, array in zip(gradients, found, strict=True):
            np.asarray(gradient)[...] = np.asarray(array.astype(mx.float32))

    postponed.append(fill)
    return tuple(
        gradient.astype(array.dtype) for gradient, array in zip(gradients, primals, strict=True)
    )


def _forward(
    q: mx.array, k: mx.array, v: mx.array, settings: TileSettings, sinks: mx.array | None = None
) -> tuple[mx.array, mx.array]:
    heads, kv_heads, each = q.shape[1], k.shape[1], settings.each
    outputs, sums = [], []
    for tiles in _rows(q, k, settings):
        start, end = tiles[0].queries
        rows = _grouped(q[:, :, start:end] * (settings.scale * LOG2_E), kv_heads)
        top = mx.full((*rows.shape[:3], 1), MASKED)
        if sinks is not None:
            top = _sink_column(sinks, rows, end - start)
        total = mx.zeros_like(top) if sinks is None else mx.ones_like(top)
        output = mx.zeros((*rows.shape[:3], v.shape[-1]))
        for tile in tiles:
            keys = settings.part(0, k, tile.keys)
            scores = settings.capped(rows @ keys.swapaxes(-1, -2))
            scores = _masked(scores, tile, heads)
            # The running softmax: what was summed relative to an older maximum shrinks.
            higher = mx.maximum(top, each.largest(scores))
            shares = _visible(each.power(scores, higher), tile, heads)
            shrink = mx.power(2.0, mx.maximum(top - higher, 2 * NEGLIGIBLE))
            total = total * shrink + each.total(shares)
            output = output * shrink + shares @ settings.part(1, v, tile.keys)
            # One tile after the other, and nothing of it left: one tile's memory.
            rows, output, total, top = each.done(rows, output, total, higher)
        total = mx.maximum(total, TINY)  # a query that sees nothing gets zeros
        outputs.append(_ungrouped(output / total, heads))
        sums.append(_ungrouped(top + mx.log2(total), heads)[..., 0])
    return mx.concatenate(outputs, axis=2).astype(q.dtype), mx.concatenate(sums, axis=2)


def _backward(
    q: mx.array,
    k: mx.array,
    v: mx.array,
    settings: TileSettings,
    sinks: Sequence[mx.array],
    d_output: mx.array,
    output: mx.array,
    sums: mx.array,
) -> tuple[mx.array, ...]:
    """Return the cotangents of q, k, v and, where there are, sinks."""
    heads, kv_heads, each = q.shape[1], k.shape[1], settings.each
    d_output = d_output.astype(mx.float32)
    # sum_k p_k (d_output . v_k): what the softmax's gradient subtracts, without any p.
    inner = (d_output * output.astype(mx.float32)).sum(axis=-1, keepdims=True)
    d_queries: list[mx.array] = []
    gradients = _Gradients(settings.earlier)
    for tiles in _rows(q, k, settings):
        span = tiles[0].queries
        rows = _grouped(_cut(q, span) * (settings.scale * LOG2_E), kv_heads)
        d_rows = _grouped(_cut(d_output, span), kv_heads)
        level = _grouped(_cut(sums[..., None], span), kv_heads)
        inner_rows = _grouped(_cut(inner, span), kv_heads)
        d_query = mx.zeros(rows.shape)
        for tile in tiles:
            keys, values = settings.part(0, k, tile.keys), settings.part(1, v, tile.keys)
            scores = settings.capped(rows @ keys.swapaxes(-1, -2))
            slope = settings.slope(scores)
            shares = each.power(_masked(scores, tile, heads), level)  # probabilities, recomputed
            shares = _visible(shares, tile, heads)
            d_value = shares.swapaxes(-1, -2) @ d_rows
            d_scores = (d_rows @ values.swapaxes(-1, -2) - inner_rows) * shares
            d_scores = d_scores if slope is None else d_scores * slope
            d_key = (d_scores.swapaxes(-1, -2) @ rows) * (1 / LOG2_E)  # rows carry scale * LOG2_E
            d_query = d_query + d_scores @ keys
            added = gradients.add(tile.keys, d_key, d_value)
            rows, d_query, *_ = each.done(rows, d_query, *added)
        d_queries.append(_ungrouped(d_query, heads))
    return (
        (mx.concatenate(d_queries, axis=2) * settings.scale).astype(q.dtype),
        gradients.own(0).astype(k.dtype),
        gradients.own(1).astype(v.dtype),
        *(_sink_gradient(array, sums, inner) for array in sinks),
    )


class _Gradients:
    """Sums of the gradients of keys (0) and values (1) by span."""

    def __init__(self, earlier: Earlier | None) -> None:
        self._earlier = earlier
        self._before = _length(earlier) if earlier else 0
        self._sums: tuple[dict[Span, mx.array], dict[Span, mx.array]] = ({}, {})

    def add(self, span: Span, d_key: mx.array, d_value: mx.array) -> list[mx.array]:
        return [self._add(which, span, new) for which, new in enumerate((d_key, d_value))]

    def _add(self, which: int, span: Span, new: mx.array) -> mx.array:
        if self._earlier and span[0] < self._before:
            return self._earlier.send(which, span, new)
        sums = self._sums[which]
        sums[span] = sums[span] + new if span in sums else new
        return sums[span]

    def own(self, which: int) -> mx.array:
        """Return the gradient of the keys or values that were given as an argument."""
        parts = self._sums[which]
        whole = mx.concatenate([parts[span] for span in sorted(parts)], axis=2)
        if not self._earlier:
            return whole
        return self._earlier.received(which, (self._before, max(parts)[1]), whole)


def _length(earlier: Earlier) -> int:
    return earlier.spans[-1][1] if earlier.spans else 0


def _rows(q: mx.array, k: mx.array, settings: TileSettings) -> Iterator[list[Tile]]:
    """Yield, per tile of queries, its tiles of keys from the first to the last."""
    if settings.earlier:
        before, keys = _length(settings.earlier), settings.earlier.spans
    else:
        before = k.shape[2] - q.shape[2]
        keys = spans(0, before, KEY_TILE)
    keys = keys + spans(before, before + q.shape[2], QUERY_TILE)
    for span in spans(0, q.shape[2], QUERY_TILE):
        first, last = before + span[0], before + span[1] - 1
        if isinstance(settings.mask, str):
            seen = [part for part in keys if part[0] <= last]
            yield [Tile(span, part, _causal(first, last, part)) for part in seen]
        else:
            yield [Tile(span, part, _cut_mask(settings.mask, span, part)) for part in keys]


def _causal(first: int, last: int, keys: Span) -> mx.array | None:
    if keys[1] - 1 <= first:  # all of it is seen by all: most tiles of a long episode
        return None
    return mx.arange(first, last + 1)[:, None] >= mx.arange(*keys)[None]


def spans(start: int, end: int, step: int) -> list[Span]:
    """Cut a range into spans of at most `step`."""
    return [(place, min(place + step, end)) for place in range(start, end, step)]


def _cut(array: mx.array, span: Span) -> mx.array:
    return array[:, :, span[0] : span[1]].astype(mx.float32)


def _cut_mask(mask: Mask, queries: Span, keys: Span) -> mx.array | None:
    if mask is None:
        return None
    rows = slice(*queries) if mask.shape[-2] > 1 else slice(None)
    part: mx.array = mask[..., rows, keys[0] : keys[1]]
    return part


def _grouped(array: mx.array, kv_heads: int) -> mx.array:
    """Lay the query heads of one key head in one matrix, (B, H, L, D) -> (B, H_kv, G * L, D)."""
    batch, heads, length, width = array.shape
    # One product for all heads that share a key head: keys are neither repeated nor read twice.
    shape = (batch, kv_heads, heads // kv_heads * length, width)
    return array.astype(mx.float32).reshape(shape)


def _ungrouped(array: mx.array, heads: int) -> mx.array:
    batch, kv_heads, rows, width = array.shape
    return array.reshape(batch, heads, kv_heads * rows // heads, width)


def _masked(scores: mx.array, tile: Tile, heads: int) -> mx.array:
    if tile.mask is None:
        return scores
    if tile.mask.dtype == mx.bool_:
        bias = (1 - tile.mask.astype(mx.float32)) * MASKED
    else:
        bias = mx.maximum(tile.mask.astype(mx.float32) * LOG2_E, MASKED)
    return (_ungrouped(scores, heads) + bias).reshape(scores.shape)


def _visible(shares: mx.array, tile: Tile, heads: int) -> mx.array:
    """Set to zero what the mask hides."""
    if tile.mask is None:
        return shares
    seen = tile.mask if tile.mask.dtype == mx.bool_ else tile.mask > MASKED / 2
    return (_ungrouped(shares, heads) * seen.astype(mx.float32)).reshape(shares.shape)


def _sink_column(sinks: mx.array, rows: mx.array, length: int) -> mx.array:
    """Return each row's sink as a base-2 logit, (B, H_kv, G * L, 1)."""
    batch, kv_heads = rows.shape[:2]
    column = (sinks.astype(mx.float32) * LOG2_E)[None, :, None, None]
    return _grouped(mx.broadcast_to(column, (batch, sinks.size, length, 1)), kv_heads)


def _sink_gradient(sinks: mx.array, sums: mx.array, inner: mx.array) -> mx.array:
    share = mx.power(2.0, sinks.astype(mx.float32)[None, :, None] * LOG2_E - sums)
    return -(share * inner[..., 0]).sum(axis=(0, 2)).astype(sinks.dtype)
