"""Tiled attention and its own gradient against attention in NumPy float64."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.definitions import defined
from tests.draws import draws
from yofo_mlx.gradients.attention import attention, bounded_attention, native_is_bounded
from yofo_mlx.gradients.tiles import KEY_TILE, QUERY_TILE, attend
from yofo_mlx.system.peak import peak as peak_so_far
from yofo_mlx.system.peak import reset_peak

Floats = npt.NDArray[np.float64]
Attention = Callable[..., mx.array]
TOLERANCE = 1e-5  # of an array's largest element; float32 has 6e-8


def tiled(*arrays: mx.array, **options: Any) -> mx.array:
    return attend(*arrays, **options)[0]  # type: ignore[arg-type]


FUNCTIONS = [pytest.param(tiled, id="attend"), pytest.param(attention, id="attention")]


@dataclass
class Case:
    """Arguments of an attention, and the cotangent of its output."""

    q: Floats
    k: Floats
    v: Floats
    d_output: Floats
    mask: Any = None  # None, "causal", or an array that broadcasts to (B, H, Lq, Lk)
    sinks: Floats | None = None
    scale: float = 0.4
    cap: float | None = None

    @property
    def arrays(self) -> list[Floats]:
        return [self.q, self.k, self.v, *([] if self.sinks is None else [self.sinks])]

    @property
    def terms(self) -> list[float]:
        """Return how large the terms of output and gradients are before they cancel."""
        q, k, v, d = (float(abs(x).max()) for x in (self.q, self.k, self.v, self.d_output))
        return [v, self.scale * k * d * v, self.scale * q * d * v, d, d * v]

    @property
    def bias(self) -> Floats:
        """Return what the mask adds to scores."""
        if self.mask is None:
            return np.zeros((1, 1))
        mask = self.mask
        if isinstance(mask, str):
            queries, keys = self.q.shape[2], self.k.shape[2]
            mask = np.tri(queries, keys, keys - queries, dtype=bool)
        return np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask


def case(
    shape: tuple[int, ...] = (2, 4, 2, 150, 150),
    *,
    widths: tuple[int, int] = (8, 6),
    mask: Any = None,
    sinks: bool = False,
    size: float = 1.0,
    seed: int = 0,
) -> Case:
    """Return random arguments for (batch, heads, key heads, queries, keys)."""
    draw = np.random.default_rng(seed).standard_normal
    batch, heads, kv_heads, queries, keys = shape
    q, k = draw((batch, heads, queries, widths[0])), draw((batch, kv_heads, keys, widths[0]))
    v, d_output = draw((batch, kv_heads, keys, widths[1])), draw((batch, heads, queries, widths[1]))
    given_sinks = draw(heads) * size if sinks else None
    rounded = [np.float32(array).astype(np.float64) for array in (q * size, k, v, d_output)]
    return Case(*rounded, mask=mask, sinks=given_sinks)


def by_definition(case: Case) -> list[Floats]:
    """Return output and gradients of q, k, v and sinks, in float64 and with whole matrices."""
    groups = case.q.shape[1] // case.k.shape[1]
    k, v = case.k.repeat(groups, 1), case.v.repeat(groups, 1)
    scores, slope = case.q @ k.swapaxes(-1, -2) * case.scale, np.ones(())
    if case.cap:
        scores = case.cap * np.tanh(scores / case.cap)
        slope = 1 - (scores / case.cap) ** 2
    scores = scores + case.bias
    column = np.full((*scores.shape[:-1], 1), -np.inf)
    if case.sinks is not None:
        column[:] = case.sinks[None, :, None, None]
    scores = np.concatenate([scores, column], axis=-1)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    shares, sink_share = shares[..., :-1], shares[..., -1]
    output = shares @ v
    inner = (case.d_output * output).sum(axis=-1)
    d_scores = shares * (case.d_output @ v.swapaxes(-1, -2) - inner[..., None])
    d_scores = d_scores * slope * case.scale

    def by_key_head(array: Floats) -> Floats:
        batch, _, keys, width = array.shape
        return array.reshape(batch, -1, groups, keys, width).sum(axis=2)

    results = [
        output,
        d_scores @ k,
        by_key_head(d_scores.swapaxes(-1, -2) @ case.q),
        by_key_head(shares.swapaxes(-1, -2) @ case.d_output),
    ]
    return results + ([] if case.sinks is None else [-(sink_share * inner).sum(axis=(0, 2))])


def by_mlx(function: Attention, case: Case, dtype: mx.Dtype = mx.float32) -> list[Floats]:
    """Return output and gradients of q, k, v and sinks."""
    mask = mx.array(case.mask) if isinstance(case.mask, np.ndarray) else case.mask

    def run(q: mx.array, k: mx.array, v: mx.array, *sinks: mx.array) -> list[mx.array]:
        given: dict[str, Any] = {"sinks": sinks[0]} if sinks else {}
        given |= {"cap": case.cap} if case.cap else {}
        return [function(q, k, v, scale=case.scale, mask=mask, **given)]

    arrays = [mx.array(array.astype(np.float32)).astype(dtype) for array in case.arrays]
    cotangent = mx.array(case.d_output.astype(np.float32)).astype(dtype)
    outputs, gradients = mx.vjp(run, arrays, [cotangent])
    results = [*outputs, *gradients]
    assert [result.dtype for result in results] == [dtype] * len(results)
    return [np.array(result.astype(mx.float32), dtype=np.float64) for result in results]


def check(function: Attention, case: Case, tolerance: float = TOLERANCE) -> None:
    compare(by_mlx(function, case), by_definition(case), tolerance, terms=case.terms)


def rounded(score: float) -> float:
    """Return a tolerance for scores this large: float32 knows them to 6e-8 of their size."""
    return TOLERANCE + 2e-7 * abs(score)


def compare(
    results: list[Floats], expected: list[Floats], tolerance: float, terms: list[float]
) -> None:
    """Compare with a tolerance relative to an array's largest element.

    Where that is the small rest of large terms (a single key's score has no gradient at all), it
    is a tenth of the tolerance relative to those terms.
    """
    names = ["output", "q", "k", "v", "sinks"]
    assert len(results) == len(expected)
    for name, result, wanted, term in zip(names, results, expected, terms, strict=False):
        assert result.shape == wanted.shape
        allowed = tolerance * max(abs(wanted).max(), term / 10)
        np.testing.assert_allclose(result, wanted, rtol=0, atol=allowed, err_msg=name)


def window(queries: int, keys: int, width: int) -> npt.NDArray[np.bool_]:
    """Return the mask of queries that see `width` keys up to their own."""
    places = np.arange(keys - queries, keys)[:, None] - np.arange(keys)[None]
    return np.asarray((places >= 0) & (places < width))


LENGTHS = [
    (1, 1),
    (1, 9),
    (1, KEY_TILE + 3),
    (7, 7),
    (QUERY_TILE, QUERY_TILE),
    (QUERY_TILE + 1, QUERY_TILE + 1),
    (QUERY_TILE - 1, KEY_TILE + QUERY_TILE - 1),
    (150, 301),
    (2 * QUERY_TILE + 17, 2 * KEY_TILE + QUERY_TILE + 5),
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("mask", [None, "causal"])
@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_tiles_give_what_the_definition_gives(
    function: Attention, mask: str | None, queries: int, keys: int
) -> None:
    check(function, case((1, 4, 2, queries, keys), mask=mask))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (3, 3), (6, 2), (5, 1)])
def test_each_key_head_serves_its_own_query_heads(
    function: Attention, heads: int, kv_heads: int
) -> None:
    check(function, case((2, heads, kv_heads, 140, 200), mask="causal"))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("width", [1, 16, 700])
@pytest.mark.parametrize("sinks", [False, True])
def test_a_sliding_window_is_kept_across_tiles(
    function: Attention, width: int, sinks: bool
) -> None:
    check(function, case((1, 4, 2, 200, 900), mask=window(200, 900, width), sinks=sinks))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_episode_of_a_batch_has_its_own_padding(function: Attention) -> None:
    padding = (np.arange(700)[None] < np.array([[700], [400], [3]]))[:, None, None]
    check(function, case((3, 4, 2, 150, 700), mask=padding))
    causal = padding & window(150, 700, 700)
    check(function, case((3, 4, 2, 150, 700), mask=causal))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_head_may_have_its_own_mask(function: Attention) -> None:
    mask = np.random.default_rng(1).random((2, 4, 150, 600)) < 0.3
    mask[..., 5] = True
    check(function, case((2, 4, 2, 150, 600), mask=mask))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("mask", [None, "causal", window(150, 700, 300)], ids=str)
@pytest.mark.parametrize("cap", [0.3, 2.0, 50.0])
def test_scores_stay_smoothly_below_a_cap(function: Attention, mask: Any, cap: float) -> None:
    capped = case((1, 4, 2, 150, 700), mask=mask, size=3.0)
    capped.cap = cap
    check(function, capped)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_mask_of_numbers_is_added_to_the_scores(function: Attention) -> None:
    mask = np.random.default_rng(2).standard_normal((1, 1, 150, 600)).astype(np.float32)
    mask[..., ::3] = -np.inf
    check(function, case((2, 4, 2, 150, 600), mask=mask))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_tile_in_which_nothing_is_seen_adds_nothing(function: Attention) -> None:
    mask = np.zeros((1, 1, 1, 3 * KEY_TILE + 130), dtype=bool)
    mask[..., KEY_TILE + 7] = mask[..., -1] = True
    check(function, case((1, 2, 1, 130, mask.shape[-1]), mask=mask))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("mask", [None, "causal"])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (150, 150), (150, 700)])
def test_sinks_are_further_scores_that_hand_on_nothing(
    function: Attention, mask: str | None, queries: int, keys: int
) -> None:
    check(function, case((2, 4, 2, queries, keys), mask=mask, sinks=True))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("level", [-1e4, -90.0, 90.0, 1e4])
def test_sinks_far_from_the_scores_neither_overflow_nor_vanish(
    function: Attention, level: float
) -> None:
    far = case((1, 2, 1, 140, 140), mask="causal")
    far.sinks = np.array([level, -level])
    check(function, far)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("mask", [None, "causal"])
@pytest.mark.parametrize("size", [30.0, 300.0, 1e4])
def test_very_large_scores_do_not_overflow(
    function: Attention, mask: str | None, size: float
) -> None:
    large = case((1, 2, 1, 150, 700), mask=mask, size=size)
    check(function, large, rounded(5 * size))
    huge = case((1, 2, 1, 150, 700), mask=mask, size=1e20)
    assert all(np.isfinite(result).all() for result in by_mlx(function, huge))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_query_that_sees_nothing_spoils_no_other(function: Attention) -> None:
    mask = window(150, 700, 300)
    blind = case((1, 4, 2, 150, 700), mask=mask)
    blind.d_output[:, :, 40] = 0  # then it has no part in the gradients, whatever it sees
    expected = by_definition(blind)
    blind.mask = mask & (np.arange(150) != 40)[:, None]
    results = by_mlx(function, blind)
    assert all(np.isfinite(result).all() for result in results)
    results[0][:, :, 40] = expected[0][:, :, 40]
    compare(results, expected, TOLERANCE, blind.terms)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("direction", [1, -1])
def test_scores_that_rise_or_fall_steeply_from_tile_to_tile_lose_nothing(
    function: Attention, direction: int
) -> None:
    steep = case((1, 1, 1, 130, 1700), widths=(1, 4))
    steep.q[:] = direction
    steep.k[:] = np.arange(1700)[None, None, :, None]
    check(function, steep, rounded(1700 * steep.scale))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("level", [0.0, 3.0, -1e4])
def test_scores_of_one_value_average_the_values(function: Attention, level: float) -> None:
    even = case((1, 2, 1, 140, 600))
    even.q[:], even.k[:] = 1.0, level
    check(function, even, rounded(8 * level * even.scale))
    mean = np.broadcast_to(even.v.mean(axis=2, keepdims=True), even.d_output.shape)
    np.testing.assert_allclose(by_mlx(function, even)[0], mean, atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("dtype", "step"), [(mx.bfloat16, 2**-8), (mx.float16, 2**-11)])
def test_in_half_precision_only_results_are_rounded(
    function: Attention, dtype: mx.Dtype, step: float
) -> None:
    half = case((2, 4, 2, 150, 700), mask="causal", sinks=True)
    half.q, half.k, half.v, half.d_output, half.sinks = (
        np.array(mx.array(array).astype(dtype).astype(mx.float32), dtype=np.float64)
        for array in (half.q, half.k, half.v, half.d_output, half.sinks)
    )
    # Results are rounded once; the gradients begin with the rounded output.
    compare(by_mlx(function, half, dtype), by_definition(half), 4 * step, half.terms)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    number = st.integers
    batch, kv_heads, groups = draw(number(1, 2)), draw(number(1, 2)), draw(number(1, 3))
    queries = draw(number(1, 2 * QUERY_TILE + 40))
    keys = queries + draw(st.one_of(st.just(0), number(0, KEY_TILE + 200)))
    kind = draw(st.sampled_from(["none", "causal", "window", "random"]))
    seed = draw(number(0, 1000))
    mask: Any = {"none": None, "causal": "causal"}.get(kind)
    if kind == "window":
        mask = window(queries, keys, draw(number(1, keys)))
    if kind == "random":
        shape = draw(st.sampled_from([(batch, 1, 1, keys), (queries, keys), (1, 1, queries, keys)]))
        mask = np.random.default_rng(seed).random(shape) < 0.5
        mask[..., draw(number(0, keys - 1))] = True  # every query sees something
    drawn = case(
        (batch, kv_heads * groups, kv_heads, queries, keys),
        widths=(draw(number(1, 9)), draw(number(1, 9))),
        mask=mask,
        sinks=draw(st.booleans()),
        seed=seed,
    )
    drawn.cap = draw(st.sampled_from([None, 0.5, 30.0]))
    return drawn


@draws(60)
@given(cases())
def test_any_shape_mask_and_sinks_give_what_the_definition_gives(case: Case) -> None:
    check(tiled, case, 3e-5)


@pytest.mark.parametrize("mask", [None, "causal", window(150, 700, 40)], ids=str)
@pytest.mark.parametrize("sinks", [False, True])
def test_kept_results_given_back_give_the_same_output_and_gradients(mask: Any, sinks: bool) -> None:
    once = case((2, 4, 2, 150, 700), mask=mask, sinks=sinks)
    kept: list[tuple[mx.array, mx.array]] = []

    def first(*arrays: mx.array, **options: Any) -> mx.array:
        kept.append(attend(*arrays, **options))  # type: ignore[arg-type]
        return kept[-1][0]

    by_mlx(first, once)
    arrays = [mx.array(array.astype(np.float32)) for array in once.arrays]
    options = {
        "scale": once.scale,
        "mask": mx.array(mask) if isinstance(mask, np.ndarray) else mask,
    }
    results = attend(*arrays[:3], sinks=arrays[3] if sinks else None, **options)
    mx.eval(results)

    def again(*arrays: mx.array, **options: Any) -> mx.array:
        return attend(*arrays, **options, kept=results)[0]  # type: ignore[arg-type]

    compare(by_mlx(again, once), by_mlx(tiled, once), 0, once.terms)


def test_the_second_result_is_the_base_2_logarithm_of_the_sum() -> None:
    one = case((1, 2, 1, 140, 600), mask="causal")
    scores = one.q @ one.k.repeat(2, 1).swapaxes(-1, -2) * one.scale + one.bias
    arrays = [mx.array(array.astype(np.float32)) for array in one.arrays]
    _, sums = attend(*arrays, scale=one.scale, mask="causal")  # type: ignore[misc]
    np.testing.assert_allclose(np.array(sums), np.log2(np.exp(scores).sum(axis=-1)), atol=1e-5)


def test_mlx_gets_its_own_attention_back() -> None:
    before = mx.fast.scaled_dot_product_attention
    with bounded_attention():
        assert mx.fast.scaled_dot_product_attention is attention
    assert mx.fast.scaled_dot_product_attention is before


def test_mlx_gets_its_own_attention_back_also_after_an_error() -> None:
    before = mx.fast.scaled_dot_product_attention
    with pytest.raises(ValueError, match="boom"), bounded_attention():
        raise ValueError("boom")
    assert mx.fast.scaled_dot_product_attention is before


@pytest.mark.skipif(mx.default_device() != mx.Device(mx.cpu), reason="asks about the CPU")
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_on_a_cpu_the_memory_of_mlxs_own_attention_is_not_bounded(dtype: mx.Dtype) -> None:
    assert not native_is_bounded(64, 64, dtype)


def test_asking_which_attention_is_bounded_leaves_the_peak_of_a_step_alone() -> None:
    reset_peak()
    held = mx.get_active_memory()
    mx.eval(mx.zeros((5_000_000,)) + 1)
    highest = peak_so_far()
    assert highest - held >= 20_000_000
    native_is_bounded(16, 24, mx.float32)  # as the first attention of a step does
    assert peak_so_far() == highest
    reset_peak()
    native_is_bounded(24, 16, mx.float32)  # which takes megabytes
    assert peak_so_far() - held < 1_000_000


def peak(length: int, mask: Any) -> int:
    """Return how much memory attention and its gradients take beside their arguments."""
    q, k, v = mx.random.normal((3, 1, 1, length, 8))
    mx.eval(q, k, v, mask if isinstance(mask, mx.array) else [])

    def loss(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return attend(q, k, v, scale=0.4, mask=mask)[0].square().sum()

    before = mx.get_active_memory()
    mx.reset_peak_memory()
    mx.eval(mx.grad(loss, argnums=(0, 1, 2))(q, k, v))
    return int(mx.get_peak_memory() - before)


@pytest.mark.parametrize("mask", [None, "causal"])
def test_no_array_has_both_lengths_as_its_sides(mask: str | None) -> None:
    short, long = peak(2048, mask), peak(4096, mask)
    assert long < 4096 * 4096 * 4 / 8
    assert long < 3 * short


@pytest.mark.parametrize(("queries", "keys"), [(300, 300), (140, 700)])
def test_attend_gives_what_its_docstring_says_it_is_equal_to(queries: int, keys: int) -> None:
    random, heads, kv_heads = np.random.default_rng(5), 4, 2
    shapes = [(2, heads, queries, 8), (2, kv_heads, keys, 8), (2, kv_heads, keys, 6)]
    arrays = [mx.array(random.standard_normal(shape).astype(np.float32)) for shape in shapes]
    mask = mx.tri(queries, keys, keys - queries).astype(mx.bool_)

    def plain(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        names = {"q": q, "k": k, "v": v, "scale": 0.4, "mask": mask, "H": heads, "H_kv": kv_heads}
        names["cap"] = 0.7
        result: mx.array = defined(attend.__doc__, "k, v = ", mx=mx, **names)["output"]
        return result

    def ours(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return attend(q, k, v, scale=0.4, mask="causal", cap=0.7)[0]

    def ends(function: Attention) -> list[mx.array]:
        cotangent = mx.sin(mx.arange(2 * heads * queries * 6)).reshape(2, heads, queries, 6)
        outputs, gradients = mx.vjp(function, arrays, [cotangent])
        return [*outputs, *gradients]

    for found, wanted in zip(ends(ours), ends(plain), strict=True):
        allowed = TOLERANCE * mx.abs(wanted).max().item()
        np.testing.assert_allclose(np.array(found), np.array(wanted), rtol=0, atol=allowed)
