"""Keys and values of one prefix that many rows share, each with its own behind them.

Attention to the prefix is one product with the queries of all rows, attention to a row's own tokens
another; their results are put together by their logsumexp: Hydragen (arXiv 2402.05099, section 3).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import finalize

import mlx.core as mx
from mlx_lm.models.cache import KVCache, make_prompt_cache

from yofo_mlx.errors import Cancelled
from yofo_mlx.gradients.tiles import LOG2_E
from yofo_mlx.models.logits import row_logits
from yofo_mlx.models.prompt_cache import between_layers, clone
from yofo_mlx.system.powers import power_of_two

SCORES = 2**25  # scores of the prefix in memory at once, 4 bytes each
MASKED = -1e30  # not -inf: what sees nothing would be NaN

_tried: dict[int, bool] = {}  # of the models there are, by id


@dataclass(frozen=True)
class Split:
    """What a model gets in place of keys or values: it may only hand them on to attention."""

    shared: mx.array  # (1, H_kv, P, D)
    own: mx.array  # (B, H_kv, T, D)
    padding: mx.array | None  # (B,) how many of a row's own begin with nothing; None: 0


class SharedPrefix:
    """A layer's cache: of a plain one what it holds, uncopied, and behind it what each row adds."""

    def __init__(
        self,
        keys: mx.array,
        values: mx.array,
        own: tuple[mx.array, ...] = (),
        padding: mx.array | None = None,
    ) -> None:
        """`own` are what rows have read already (B, H_kv, T, D), `padding` (B,) of it is empty."""
        self.shared = keys, values
        self.own, self._padding = own, padding

    @property
    def offset(self) -> Any:
        """Return the next position, of each row (B,) where they differ."""
        offset = self.shared[0].shape[2] + (self.own[0].shape[2] if self.own else 0)
        return offset if self._padding is None else offset - self._padding

    @property
    def state(self) -> tuple[mx.array, ...]:
        """Return the arrays that grow."""
        return self.own

    @property
    def nbytes(self) -> int:
        """Return the memory of what the rows have for themselves."""
        return sum(array.nbytes for array in self.own)

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[Split, Split]:
        """Append to each row."""
        new: tuple[mx.array, ...] = (keys, values)
        if self.own:
            new = tuple(
                mx.concatenate([own, one], axis=2) for own, one in zip(self.own, new, strict=True)
            )
        self.own = new
        key, value = (
            Split(shared, own, self._padding) for shared, own in zip(self.shared, new, strict=True)
        )
        return key, value

    def make_mask(self, count: int, return_array: bool = False, window_size: Any = None) -> Any:
        """Return the name of the mask; `attention` knows what each row sees."""
        if return_array or window_size is not None:
            raise NotImplementedError("a mask of its own")
        return None if count == 1 else "causal"


def lend(layers: Sequence[Any], copies: int, *, shared: bool) -> list[Any]:
    """Return caches of `copies` rows that start from these, which stay as they are."""
    return [
        SharedPrefix(*layer.keys_and_values())
        if shared and type(layer) is KVCache and layer.offset
        else clone(layer, copies)
        for layer in layers
    ]


def shares(model: Any, check: Callable[[], None] | None = None) -> bool:
    """Tell whether a model answers behind a shared prefix what it answers behind copies.

    It is tried once for each model, which takes some passes. `check`, called between layers, may
    raise Cancelled.
    """
    if (known := _tried.get(id(model))) is None:
        known = _tried[id(model)] = _answers_alike(model, check)
        finalize(model, _tried.pop, id(model), None)
    return known


def _answers_alike(model: Any, check: Callable[[], None] | None) -> bool:
    def read(tokens: mx.array, layers: list[Any]) -> mx.array:
        last = mx.arange(1, len(tokens) + 1) * tokens.shape[1] - 1
        with between_layers(layers, check) if check else nullcontext():
            return row_logits(model, tokens, last, layers)

    prefix, tokens = mx.array([[1, 2, 3]]), mx.array([[4, 5, 6], [7, 8, 9]])
    layers = make_prompt_cache(model)
    try:
        with folded_attention():
            read(prefix, layers)
            rows = lend(layers, 2, shared=True)
            found, expected = (
                [read(tokens, cache)] for cache in (rows, lend(layers, 2, shared=False))
            )
            if all(type(layer) is SharedPrefix for layer in rows):  # may have begun apart
                found.append(read(tokens, [_begun_apart(layer) for layer in rows]))
                for row, (other, length) in enumerate(((1, 2), (0, 3))):
                    alone = [tokens[other, :length], tokens[row]]
                    whole = mx.concatenate([prefix[0], *alone])[None]
                    expected.append(read(whole, make_prompt_cache(model)))
        got, wanted = (
            mx.concatenate([one.astype(mx.float32) for one in some]) for some in (found, expected)
        )
        exact = found[0].dtype == mx.float32
        allowed = (1e-3 if exact else 0.1) * mx.abs(wanted).max()
        return bool((mx.abs(got - wanted).max() <= allowed).item())
    except Cancelled:
        raise
    except Exception:  # whatever a model does with keys but attend to them
        return False


def _begun_apart(layer: SharedPrefix) -> SharedPrefix:
    """Return rows of which one has read two tokens of the second, the other three of the first."""
    keys, values = (
        mx.stack([mx.concatenate([one[1, :, :1], one[1, :, :2]], axis=1), one[0]])
        for one in layer.own
    )
    return SharedPrefix(*layer.shared, (keys, values), mx.array([1, 0]))


@contextmanager
def folded_attention() -> Iterator[None]:
    """Let models attend to shared prefixes."""
    usual = mx.fast.scaled_dot_product_attention

    def attention(q: mx.array, k: Any, v: Any, **options: Any) -> mx.array:
        if isinstance(k, Split) and isinstance(v, Split):
            return attend(q, k, v, **options)
        return usual(q, k, v, **options)

    mx.fast.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        mx.fast.scaled_dot_product_attention = usual


def attend(
    q: mx.array,
    k: Split,
    v: Split,
    *,
    scale: float,
    mask: str | None = None,
    sinks: mx.array | None = None,
) -> mx.array:
    """Return the attention (B, H, L, D_v) of the last L tokens of each row."""
    if not (mask is None or isinstance(mask, str)):
        raise NotImplementedError("a mask of its own")
    batch, heads, length, width = q.shape
    groups = k.shared.shape[1]
    # Exponents are to base 2, as in `gradients/tiles.py`.
    rows = (q * (scale * LOG2_E)).reshape(batch, groups, -1, width)  # (B, H_kv, H / H_kv * L, D)
    far = _attend_to_prefix(rows, k.shared, v.shared)
    scores = rows @ k.own.swapaxes(-1, -2)
    if (seen := _seen(length, k)) is not None:
        parted = scores.reshape(batch, groups, -1, length, k.own.shape[2])
        scores = mx.where(seen, parted, MASKED).reshape(scores.shape)
    near = _weigh(scores, v.own)
    top = mx.maximum(far.top, near.top)
    shares = [mx.power(2.0, part.top - top) for part in (far, near)]
    total = shares[0] * far.weight + shares[1] * near.weight
    if sinks is not None:
        sink = mx.repeat(sinks.astype(mx.float32) * LOG2_E, length).reshape(1, groups, -1, 1)
        total = total + mx.power(2.0, sink - top)
    result = (shares[0] * far.values + shares[1] * near.values) / total
    return result.astype(q.dtype).reshape(batch, heads, length, -1)


class Part(NamedTuple):
    """An attention to some of the keys, not yet divided by its weights."""

    values: mx.array  # (..., N, D)
    weight: mx.array  # (..., N, 1)
    top: mx.array  # (..., N, 1) the largest score: weights are relative to it


def _weigh(scores: mx.array, values: mx.array) -> Part:
    scores = scores.astype(mx.float32)
    top = scores.max(axis=-1, keepdims=True)
    weights = power_of_two(scores - top)  # a single score is its own maximum, in one place
    summed = weights.sum(axis=-1, keepdims=True)
    return Part((weights.astype(values.dtype) @ values).astype(mx.float32), summed, top)


def _attend_to_prefix(rows: mx.array, k: mx.array, v: mx.array) -> Part:
    """Attend with the queries of all rows (B, H_kv, N, D) in one product, or in a few."""
    batch, groups, _, width = rows.shape
    folded = rows.swapaxes(0, 1).reshape(1, groups, -1, width)  # (1, H_kv, B * N, D)
    at_once = max(1, SCORES // (k.shape[1] * k.shape[2]))
    pieces = [
        _weigh(folded[:, :, start : start + at_once] @ k.swapaxes(-1, -2), v)
        for start in range(0, folded.shape[2], at_once)
    ]
    joined = (mx.concatenate(list(parts), axis=2) for parts in zip(*pieces, strict=True))
    return Part(*(one.reshape(groups, batch, -1, one.shape[-1]).swapaxes(0, 1) for one in joined))


def _seen(length: int, k: Split) -> mx.array | None:
    """Return which of a row's own tokens (B or 1, 1, 1, L, T) its last L see; None: all."""
    width = k.own.shape[2]
    columns = mx.arange(width)
    seen = None
    if length > 1:
        seen = (columns <= mx.arange(width - length, width)[:, None])[None, None, None]
    if k.padding is not None:
        filled = (columns >= k.padding[:, None])[:, None, None, None]
        seen = filled if seen is None else seen & filled
    return seen
