"""The attention that models call while yofo differentiates them.

mlx-lm's models ask MLX for `mx.fast.scaled_dot_product_attention` at every call. Where MLX has a
fused kernel whose gradient needs bounded memory, they get it; everywhere else (CPU, array masks,
sinks) exact tiles. Which it is, is measured, not guessed from a version.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import mlx.core as mx

from yofo_mlx.gradients.layer_cache import KeyValues, Latents
from yofo_mlx.gradients.own_code import own_code_replaced
from yofo_mlx.gradients.tiles import Postponed, attend
from yofo_mlx.system.peak import growth_of

native = mx.fast.scaled_dot_product_attention
Kept = tuple[mx.array, mx.array]


@dataclass
class Tape:
    """Results of the attentions of one layer over one chunk: kept once, then handed out again.

    For a recurrent layer also the state that the chunk began with.
    """

    results: list[Kept] = field(default_factory=list)
    postponed: Postponed = field(default_factory=list)
    settled: list[mx.array] = field(default_factory=list)
    state: list[Any] = field(default_factory=list)
    recording: bool = True

    @property
    def arrays(self) -> list[mx.array]:
        """Everything kept, to be evaluated."""
        return [array for result in self.results for array in result]

    def watched(self, weight: mx.array) -> mx.array:
        """Return a weight; its gradient is noted if it is there before any that is postponed."""

        @mx.custom_function
        def same(weight: mx.array) -> mx.array:
            return weight

        @same.vjp
        def same_vjp(_: mx.array, gradient: mx.array, output: mx.array) -> mx.array:
            if not self.postponed:  # nothing that it is made of is postponed
                self.settled.append(gradient)
            return gradient

        result: Any = same(weight)
        return cast(mx.array, result)

    def catch_up(self) -> None:
        """Compute the gradients of the attentions, from the last to the first.

        Those of what comes after them in the layer go first: their activations need not wait.
        """
        while self.settled:
            mx.eval(self.settled.pop(0))
        while self.postponed:
            self.postponed.pop(0)()


@dataclass
class _Scope:
    """What a running layer's attention needs to know."""

    caches: list[KeyValues] = field(default_factory=list)
    tape: Tape | None = None
    place: int = 0
    is_noting: bool = False  # nothing is to be computed


_scope = _Scope()


def attention(
    q: mx.array,
    k: mx.array,
    v: mx.array,
    *,
    scale: float,
    mask: Any = None,
    sinks: mx.array | None = None,
    cap: float | None = None,
    **options: Any,
) -> mx.array:
    """Do what `mx.fast.scaled_dot_product_attention` does, in bounded memory.

    q (B, H, Lq, D), k and v (B, H_kv, Lk, D) -> (B, H, Lq, D_v); the last query sees the last key.
    Scores are between -cap and cap where there is one (`tiles.attend`).
    """
    latents = [cache for cache in _scope.caches if isinstance(cache, Latents) and cache.pending]
    if latents:
        return _latent_attention(latents[0], q, k, v, scale, mask)
    plain = sinks is None and cap is None and (mask is None or isinstance(mask, str))
    scored = isinstance(mask, mx.array) and mask.dtype != mx.bool_  # it may need a gradient itself
    if options or scored or (plain and native_is_bounded(q.shape[-1], v.shape[-1], q.dtype)):
        return native(q, k, v, scale=scale, mask=mask, sinks=sinks, **options)
    # The prefix stays in the layer's buffer: joining it with the new keys would copy it each chunk.
    earlier = next(filter(None, (cache.apart(k, v) for cache in _scope.caches)), None)
    if earlier:
        k, v = earlier.keys, earlier.values
    tape, kept = _scope.tape, None
    if tape and not tape.recording:
        kept = tape.results[_scope.place]
        _scope.place += 1
    # A layer over a chunk is differentiated only with what its forward pass has kept.
    at_once = bool(_scope.caches) and kept is None and not _scope.is_noting
    on_cpu = mx.default_device() == mx.cpu
    result = attend(
        q,
        k,
        v,
        scale=scale,
        mask=mask,
        sinks=sinks,
        cap=cap,
        earlier=earlier,
        kept=kept,
        at_once=at_once,
        postponed=tape.postponed if tape and kept and on_cpu else None,
    )
    if tape and tape.recording:
        tape.results.append(result)
    return result[0]


def _latent_attention(
    cache: Latents, q: mx.array, k: mx.array, v: mx.array, scale: float, positions: mx.array
) -> mx.array:
    """Attend to latents; k, v and `positions` are what the model made of unit vectors.

    q (B, H, C, D), k (1, H, K, D), v (1, H, K, D_v), positions (B, H, C, R) -> (B, H, C, D_v).
    """
    cache.pending = False
    queries = mx.concatenate([scale * (q @ k.swapaxes(-1, -2)), positions], axis=-1)
    keys, values = cache.keys_and_values()
    return attention(queries, keys, values, scale=1.0, mask="causal") @ v


@cache
def native_is_bounded(width: int, value_width: int, dtype: mx.Dtype) -> bool:
    """Measure whether MLX's own attention is differentiated without a Lq x Lk array."""
    # With twice the keys a Lq x Lk array grows by 1024 rows of 1024, the keys by 1024 of a head's.
    queries, short, long = 1024, 1024, 2048
    growth = _native_peak(queries, long, width, value_width, dtype) - _native_peak(
        queries, short, width, value_width, dtype
    )
    return growth < queries * (long - short) * dtype.size


def _native_peak(queries: int, keys: int, width: int, value_width: int, dtype: mx.Dtype) -> int:
    def loss(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return native(q, k, v, scale=width**-0.5, mask="causal").sum()

    shapes = [(1, 1, queries, width), (1, 1, keys, width), (1, 1, keys, value_width)]
    arrays = [mx.zeros(shape, dtype) for shape in shapes]
    mx.eval(arrays)
    return growth_of(lambda: mx.eval(mx.grad(loss, argnums=(0, 1, 2))(*arrays)))


@contextmanager
def bounded_attention() -> Iterator[None]:
    """Let models use `attention`."""
    mx.fast.scaled_dot_product_attention = attention
    try:
        with own_code_replaced():
            yield
    finally:
        mx.fast.scaled_dot_product_attention = native


@contextmanager
def noting(notes: list[tuple[mx.array, Any]]) -> Iterator[None]:
    """Note the keys and the mask of each attention."""

    def noted(
        q: mx.array, k: mx.array, v: mx.array, *, mask: Any = None, **options: Any
    ) -> mx.array:
        notes.append((k, mask))
        return attention(q, k, v, mask=mask, **options)

    before = mx.fast.scaled_dot_product_attention
    mx.fast.scaled_dot_product_attention, _scope.is_noting = noted, True
    try:
        yield
    finally:
        _scope.is_noting = False
        mx.fast.scaled_dot_product_attention = before


@contextmanager
def attending(caches: Sequence[Any], tape: Tape | None) -> Iterator[None]:
    """Tell `attention` whose keys it meets, and where to keep or find its results."""
    _scope.caches = [cache for cache in caches if isinstance(cache, KeyValues)]
    _scope.tape, _scope.place = tape, 0
    try:
        yield
    finally:
        for cache in _scope.caches:
            cache.settle()
        _scope.caches, _scope.tape = [], None
