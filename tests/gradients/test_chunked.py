"""Training in chunks gives the gradient of the whole, whatever the adapter, episode and dials."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models.llama import Model, ModelArgs

from tests.draws import draws
from tests.fakes import random_llama
from tests.naive_llama import Weights, forward, weights_of
from tests.tiny_models import tiny_model
from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import RunError
from yofo_mlx.gradients import Dials, loss_and_gradients
from yofo_mlx.gradients.layer_cache import KeyValues
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.recipe.schema import Lora, Objective

Gradients = dict[str, mx.array]
Result = tuple[float, Gradients]
Answers = list[tuple[int, int]]

VOCABULARY = 97
LAYERS = 3
ANSWERS = [(5, 8), (15, 18), (21, 22), (44, 47)]
EVERY_KEY = (
    "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj"
    " mlp.gate_proj mlp.up_proj mlp.down_proj"
).split()


def llama(
    prepare: Callable[[Any], None] = lambda _: None, *, layers: int = LAYERS, **lora: Any
) -> Any:
    """Return a tiny llama with an adapter that is not zero."""
    model = random_llama(layers=layers, vocab=VOCABULARY)
    prepare(model)
    return adapted(model, **lora)


def adapted(model: Any, **lora: Any) -> Any:
    add_adapter(model, Lora(rank=2, **lora))
    mx.random.seed(1)
    weights = model.trainable_parameters()
    model.update(tree_map(lambda array: array + mx.random.normal(array.shape) * 0.02, weights))
    model.train()
    return model


@cache
def usual_llama() -> Any:
    return llama()


def episode(length: int, answers: Answers, seed: int = 0) -> Episode:
    tokens = np.random.default_rng(seed).integers(1, VOCABULARY, length).tolist()
    return Episode("task", tokens, answers)


def batch_of(*episodes: Episode, pad: int = 0, **objective: Any) -> Batch:
    return make_batch(list(episodes), Objective(**objective), pad)


def usual_batch() -> Batch:
    return batch_of(episode(50, ANSWERS), episode(37, ANSWERS[:3], seed=1))


def run(model: Any, batch: Batch, dials: Dials | None, **options: Any) -> Result:
    loss, tree = loss_and_gradients(model, batch, dials, **options)
    gradients = dict(tree_flatten(tree))
    mx.eval(loss, gradients)
    return float(loss.item()), gradients


def whole(model: Any, batch: Batch) -> Result:
    """Return loss and gradients of the model as it is, from all logits."""

    def loss(model: Any) -> mx.array:
        logits = model(mx.array(batch.tokens)).astype(mx.float32)
        rows = logits.reshape(-1, logits.shape[-1])[mx.array(batch.rows)]
        losses = nn.losses.cross_entropy(rows, mx.array(batch.targets))
        return (losses * mx.array(batch.weights)).sum()

    value, tree = nn.value_and_grad(model, loss)(model)
    gradients = dict(tree_flatten(tree))
    mx.eval(value, gradients)
    return float(value.item()), gradients


def norm(arrays: list[mx.array]) -> float:
    return float(sum(array.astype(mx.float32).square().sum().item() for array in arrays)) ** 0.5


def difference(one: Gradients, two: Gradients) -> float:
    return norm([one[key].astype(mx.float32) - two[key].astype(mx.float32) for key in two])


def check(result: Result, expected: Result, tolerance: float = 1e-4) -> None:
    """Compare every parameter's gradient relative to its size.

    Some are the rest of large terms, or zero: a single key needs no gradient. Those may be off by
    a millionth of the largest.
    """
    assert result[0] == pytest.approx(expected[0], rel=1e-5)
    assert result[1].keys() == expected[1].keys()
    largest = max(norm([gradient]) for gradient in expected[1].values())
    assert largest > 0
    errors = {
        key: norm([result[1][key] - gradient]) / (norm([gradient]) + 1e-2 * largest)
        for key, gradient in expected[1].items()
    }
    assert {key: error for key, error in errors.items() if not error <= tolerance} == {}


def same(one: Result, two: Result) -> bool:
    """Tell whether two results are equal to the last bit."""
    equal = [mx.array_equal(one[1][key], two[1][key]).item() for key in two[1]]
    return one[0] == two[0] and one[1].keys() == two[1].keys() and all(equal)


def check_against_whole(model: Any, batch: Batch, *dials: Dials) -> None:
    expected = whole(model, batch)
    for dial in dials:
        check(run(model, batch, dial), expected)


# ------------------------------------------------------------------------------------- adapters


@pytest.mark.parametrize(
    "keys",
    [
        *([key] for key in EVERY_KEY),
        ["self_attn.q_proj", "self_attn.v_proj"],
        ["self_attn.k_proj", "mlp.down_proj"],
    ],
    ids="+".join,
)
def test_an_adapter_on_some_keys_only_gets_the_plain_gradient(keys: list[str]) -> None:
    model = llama(keys=tuple(keys))
    assert len(run(model, usual_batch(), Dials(16, 2))[1]) == 2 * LAYERS * len(keys)
    check_against_whole(model, usual_batch(), Dials(16, 2))


@pytest.mark.parametrize("stash", [1, 2, 9])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_an_adapter_on_the_last_layers_only_gets_the_plain_gradient(
    layers: int, stash: int
) -> None:
    model = llama(layers=4, num_layers=layers)
    assert len({key.split(".")[2] for key in run(model, usual_batch(), None)[1]}) == layers
    check_against_whole(model, usual_batch(), Dials(16, stash))


def test_a_layer_without_adapter_between_others_hands_the_gradient_on() -> None:
    model = llama()
    model.layers[1].freeze()
    check_against_whole(model, usual_batch(), Dials(16, 1), Dials(16, 2), Dials(16, 3))


def test_dora_gets_the_plain_gradient() -> None:
    model = llama(fine_tune_type="dora")
    assert any(key.endswith(".m") for key in run(model, usual_batch(), None)[1])
    check_against_whole(model, usual_batch(), Dials(16, 2))


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_an_adapter_on_a_quantized_model_gets_the_plain_gradient(kind: str) -> None:
    model = llama(lambda model: nn.quantize(model, group_size=32, bits=4), fine_tune_type=kind)
    check_against_whole(model, usual_batch(), Dials(16, 2))


@pytest.mark.parametrize("kind", ["ia3", "bitfit", "bottleneck"])
def test_adapters_that_mlx_lm_has_not_get_the_plain_gradient(kind: str) -> None:
    model = adapted(tiny_model("qwen2"), fine_tune_type=kind)
    check_against_whole(model, usual_batch(), Dials(16, 1), Dials(16, 2))
    model = tiny_model("qwen2")
    nn.quantize(
        model,
        group_size=32,
        bits=8,
        class_predicate=lambda _, m: isinstance(m, nn.Linear) and m.weight.shape[-1] == 32,
    )
    check_against_whole(
        adapted(model, fine_tune_type=kind, num_layers=2), usual_batch(), Dials(16, 2)
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_bfloat16_model_is_trained_as_exactly_in_chunks_as_without(seed: int) -> None:
    def rounded(model: Any) -> None:
        model.set_dtype(mx.bfloat16)
        model.set_dtype(mx.float32)

    batch = batch_of(episode(150, [(i, i + 2) for i in range(6, 150, 12)], seed))
    exact = whole(llama(rounded), batch)
    model = llama(lambda model: model.set_dtype(mx.bfloat16))
    plain, chunked = run(model, batch, None), run(model, batch, Dials(16, 2))
    assert {array.dtype for array in chunked[1].values()} == {mx.float32}  # as the adapter's are
    error = difference(plain[1], exact[1])
    assert 1e-3 < error / norm(list(exact[1].values())) < 5e-2  # or this shows nothing
    assert difference(chunked[1], exact[1]) < 2 * error
    assert chunked[0] == pytest.approx(exact[0], rel=5e-3)


def test_trainable_parameters_outside_the_layers_are_refused() -> None:
    model = llama()
    model.model.norm.unfreeze()
    with pytest.raises(RunError, match="parameters outside its layers are trained"):
        loss_and_gradients(model, usual_batch(), Dials(16, 2))


# ---------------------------------------------------------------------------- chunks and targets


@pytest.mark.parametrize(
    "chunk", [pytest.param(1, marks=pytest.mark.long), 7, 10, 25, 47, 49, 50, 1000]
)
def test_chunks_may_or_may_not_divide_the_episode(chunk: int) -> None:
    check_against_whole(usual_llama(), usual_batch(), Dials(chunk, 2))


@pytest.mark.parametrize("stash", [1, 2, 3, 100])
def test_the_stash_interval_does_not_change_the_numbers(stash: int) -> None:
    results = run(usual_llama(), usual_batch(), Dials(16, LAYERS))
    check(run(usual_llama(), usual_batch(), Dials(16, stash)), results, 1e-6)


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([(1, 2)], id="the second token"),
        pytest.param([(16, 17)], id="predicted by the last of a chunk"),
        pytest.param([(17, 18)], id="predicted by the first of a chunk"),
        pytest.param([(30, 35)], id="across a border"),
        pytest.param([(10, 40)], id="more than a chunk"),
        pytest.param([(3, 5), (45, 47)], id="none in the second chunk"),
        pytest.param([(48, 50)], id="in the last chunk only"),
        pytest.param([(1, 50)], id="everywhere"),
    ],
)
def test_targets_may_be_anywhere_in_the_chunks(answers: Answers) -> None:
    check_against_whole(usual_llama(), batch_of(episode(50, answers)), Dials(16, 2))


def test_what_comes_after_the_last_target_does_not_matter() -> None:
    short = episode(20, [(5, 8), (18, 20)])
    long = Episode("task", [*short.tokens, *range(1, 80)], short.answers)
    results = [run(usual_llama(), batch_of(one), Dials(8, 2)) for one in (short, long)]
    check(results[1], whole(usual_llama(), batch_of(long)))
    assert same(*results)


def test_what_comes_after_the_last_target_is_not_even_run() -> None:
    seen: list[int] = []
    for length in (20, 100):
        one = batch_of(episode(length, [(5, 8), (18, 20)]))
        run(usual_llama(), one, Dials(8, 2), progress=lambda _, total, __: seen.append(total))
    assert len(set(seen)) == 1


@pytest.mark.parametrize("chunk", [5, 16, 64])
def test_padding_tokens_do_not_matter(chunk: int) -> None:
    several = [episode(50, ANSWERS), episode(9, [(4, 9)], 1), episode(37, ANSWERS[:3], 2)]
    results = [run(usual_llama(), batch_of(*several, pad=pad), Dials(chunk, 2)) for pad in (0, 31)]
    assert same(*results)
    check(results[0], whole(usual_llama(), batch_of(*several)))


def test_a_batch_is_the_sum_of_its_episodes() -> None:
    several = [episode(50, ANSWERS), episode(9, [(4, 9)], 1), episode(37, ANSWERS[:3], 2)]
    alone = [run(usual_llama(), batch_of(one), Dials(16, 2)) for one in several]
    gradients = {key: sum(result[1][key] for result in alone) for key in alone[0][1]}
    expected = (sum(loss for loss, _ in alone), gradients)
    check(run(usual_llama(), batch_of(*several), Dials(16, 2)), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "objective",
    [
        {"normalize": "answer"},
        {"normalize": "token"},
        {"targets": "last"},
        {"targets": "tokens", "normalize": "token"},
    ],
    ids=str,
)
def test_every_objective_weighs_its_targets_as_in_the_plain_model(
    objective: dict[str, str],
) -> None:
    batch = batch_of(episode(50, ANSWERS), episode(37, ANSWERS[:3], 1), **objective)
    check_against_whole(usual_llama(), batch, Dials(16, 2))


def test_targets_of_no_weight_change_nothing() -> None:
    batch = usual_batch()
    weightless = replace(batch, weights=batch.weights * (batch.rows < 30))
    check_against_whole(usual_llama(), weightless, Dials(16, 2))


@draws(25)
@given(st.data())
def test_any_episodes_chunk_and_stash_give_the_plain_gradient(data: st.DataObject) -> None:
    number = st.integers
    episodes = []
    for seed in range(data.draw(number(1, 3), label="episodes")):
        length = data.draw(number(2, 40), label="length")
        places = data.draw(st.sets(number(1, length - 1), min_size=1, max_size=6), label="answers")
        spans = [(p, min(p + data.draw(number(1, 3)), length)) for p in sorted(places)]
        episodes.append(episode(length, spans, seed))
    dials = Dials(data.draw(number(3, 45), label="chunk"), data.draw(number(1, 4), label="stash"))
    check_against_whole(usual_llama(), batch_of(*episodes), dials)


# ------------------------------------------------------------------------------------ definition


def naive_loss(weights: Weights, args: Any, batch: Batch) -> float:
    """Return the weighted sum of -log p in float64."""
    tables = [forward(weights, args, tokens.tolist(), Lora().scale) for tokens in batch.tokens]
    rows = np.concatenate(tables)[batch.rows]
    nll = np.log(np.exp(rows).sum(axis=1)) - rows[np.arange(len(rows)), batch.targets]
    return float((nll * batch.weights).sum())


def test_loss_and_gradient_are_those_of_the_definition_in_float64() -> None:
    model, batch, draw = usual_llama(), usual_batch(), np.random.default_rng(3)
    weights = weights_of(model)
    loss, gradients = run(model, batch, Dials(16, 2))
    assert loss == pytest.approx(naive_loss(weights, model.args, batch), rel=1e-6)
    for name, gradient in gradients.items():
        direction = draw.standard_normal(gradient.shape)
        slope = (np.array(gradient, dtype=np.float64) * direction).sum()
        ends = [
            naive_loss(weights | {name: weights[name] + step * direction}, model.args, batch)
            for step in (1e-6, -1e-6)
        ]
        size = np.linalg.norm(np.array(gradient))
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-4 * size), name


# ----------------------------------------------------------------------------------------- long


@pytest.mark.parametrize("name", ["llama", "llama+sliding", "gemma3_text"])
@pytest.mark.parametrize("chunk", [300, 600])
def test_chunks_longer_than_a_tile_of_keys_give_the_plain_gradient(name: str, chunk: int) -> None:
    batch = batch_of(episode(800, [(i, i + 2) for i in range(20, 800, 40)]))
    check_against_whole(adapted(tiny_model(name)), batch, Dials(chunk, 2))


def from_target_rows(model: Any, tokens: mx.array, rows: mx.array, targets: mx.array) -> mx.array:
    """Return the summed loss of a one-layer, one-head llama of which only targets' rows are run."""
    layer, attention = model.layers[0], model.layers[0].self_attn
    x = model.model.embed_tokens(tokens)
    normed = layer.input_layernorm(x)
    q, k, v = (getattr(attention, f"{name}_proj")(normed) for name in "qkv")
    q, k = attention.rope(q[:, None])[:, 0], attention.rope(k[:, None])[:, 0]
    scores = q[:, rows] @ k.swapaxes(-1, -2) * attention.scale
    scores = mx.where(rows[:, None] >= mx.arange(tokens.size), scores, -mx.inf)
    hidden = x[:, rows] + attention.o_proj(mx.softmax(scores, axis=-1) @ v)
    hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    logits = model.lm_head(model.model.norm(hidden))[0]
    return nn.losses.cross_entropy(logits, targets).sum()


@pytest.mark.long
def test_an_episode_of_more_than_32768_tokens_gets_the_gradient_of_its_definition() -> None:
    mx.random.seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "vocab_size": VOCABULARY}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": 1}
    more = {"rms_norm_eps": 1e-5, "max_position_embeddings": 2**16, "tie_word_embeddings": False}
    model = Model(ModelArgs(model_type="llama", **shape, **heads, **more))
    model.set_dtype(mx.float32)
    adapted(model)
    length = 2**15 + 40
    answers = [(place, place + 2) for place in range(20, length - 200, 999)]
    batch = batch_of(episode(length, [*answers, (length - 2, length)]), normalize="token")
    arrays = [mx.array(array) for array in (batch.tokens, batch.rows, batch.targets)]
    loss, tree = nn.value_and_grad(model, from_target_rows)(model, *arrays)
    expected = (float(loss.item()), dict(tree_flatten(tree)))
    check(run(model, batch, Dials(2048, 1)), expected)


# --------------------------------------------------------------------------------------- dropout


def dropped(model: Any, dials: Dials, seed: int) -> Result:
    mx.random.seed(seed)
    return run(model, usual_batch(), dials)


@cache
def dropout_llama() -> Any:
    return llama(dropout=0.3)


@pytest.mark.parametrize("dials", [Dials(16, 2), Dials(1000, 1)], ids=str)
def test_the_same_seed_drops_the_same_and_another_seed_other_inputs(dials: Dials) -> None:
    one, two, other = (dropped(dropout_llama(), dials, seed) for seed in (7, 7, 8))
    assert same(one, two)
    assert one[0] != other[0]
    assert difference(one[1], other[1]) > 0.01 * norm(list(one[1].values()))


def test_what_is_dropped_differs_from_step_to_step_and_from_none_at_all() -> None:
    model = dropout_llama()
    mx.random.seed(7)
    losses = [run(model, usual_batch(), Dials(16, 2))[0] for _ in range(6)]
    model.eval()
    losses.append(run(model, usual_batch(), Dials(16, 2))[0])
    model.train()
    assert len(set(losses)) == len(losses)


def test_what_is_dropped_does_not_depend_on_what_is_stashed() -> None:
    results = [dropped(dropout_llama(), Dials(16, stash), seed=7) for stash in (1, 2, 3)]
    check(results[1], results[0], 1e-6)
    check(results[2], results[0], 1e-6)


def test_dropped_inputs_differ_between_chunks_and_layers() -> None:
    """An adapter that hands on its input shows what was dropped of it."""
    model = random_llama(layers=2, vocab=VOCABULARY)
    add_adapter(model, Lora(rank=2, dropout=0.5, keys=("self_attn.q_proj",)))
    seen: list[list[bool]] = []

    class Watched(nn.Module):
        def __call__(self, x: mx.array) -> mx.array:
            kept = nn.Dropout(0.5)(mx.ones(x.shape))
            seen.append((kept > 0).reshape(-1).tolist())  # type: ignore[arg-type]
            return x * kept

    for layer in model.layers:
        layer.self_attn.q_proj.dropout = Watched()
    mx.random.seed(0)
    loss_and_gradients(model, batch_of(episode(48, [(46, 48)])), Dials(16, 2))
    whole_chunks = [mask for mask in seen if len(mask) == 16 * 32]
    counts = [whole_chunks.count(mask) for mask in whole_chunks]
    assert len(whole_chunks) > len({str(mask) for mask in whole_chunks}) >= 4
    assert min(counts) >= 2  # each is met again on the way back


@pytest.mark.parametrize(
    "dials",
    [
        Dials(16, 2),
        *(pytest.param(one, marks=pytest.mark.long) for one in (Dials(16, 1), Dials(11, 3))),
    ],
    ids=str,
)
def test_with_dropout_the_gradient_is_the_slope_of_the_loss_of_the_same_seed(dials: Dials) -> None:
    model = llama(dropout=0.3)
    _, gradients = dropped(model, dials, seed=7)
    start = dict(tree_flatten(model.trainable_parameters()))
    for part in ("layers.0", "layers.1", "layers.2", "lora_a", "lora_b", "q_proj", "v_proj"):
        keys = [key for key in start if part in key]
        size = norm([gradients[key] for key in keys])
        ends = []
        for step in (1e-3, -1e-3):
            moved = [(key, start[key] + step * gradients[key] / size) for key in keys]
            model.load_weights(moved, strict=False)
            ends.append(dropped(model, dials, seed=7)[0])
        model.load_weights(list(start.items()), strict=False)
        assert (ends[0] - ends[1]) / 2e-3 == pytest.approx(size, rel=0.01), part


# -------------------------------------------------------------------------- progress and memory


@pytest.mark.parametrize("dials", [Dials(16, 1), Dials(16, 2), Dials(16, 9), Dials(99, 2)], ids=str)
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_progress_rises_one_by_one_to_a_total_that_stays(dials: Dials, layers: int) -> None:
    told: list[tuple[int, int, str]] = []
    model = llama(layers=4, num_layers=layers)
    run(model, usual_batch(), dials, progress=lambda *what: told.append(what))
    total = told[0][1]
    assert [done for done, _, _ in told] == list(range(1, total + 1))
    assert {all_of_them for _, all_of_them, _ in told} == {total}
    phases = [phase for _, _, phase in told]
    assert set(phases) == {"forward", "backward"}
    assert (phases[0], phases[-1]) == ("forward", "backward")


class LeftError(Exception):
    """What a test raises to leave a step."""


def objects(model: Any) -> list[Any]:
    """Return a model's layers, modules and parameters."""
    modules = [module for _, module in model.named_modules()]
    return [*model.layers, *modules, *(array for _, array in tree_flatten(model.parameters()))]


def test_a_step_can_be_left_between_any_two_pieces() -> None:
    model, batch, dials = llama(), usual_batch(), Dials(16, 2)
    native, before = mx.fast.scaled_dot_product_attention, objects(model)
    values = [np.array(array) for _, array in tree_flatten(model.parameters())]
    totals: list[int] = []
    expected = run(model, batch, dials, progress=lambda _, total, __: totals.append(total))
    for last in range(1, totals[0] + 1):

        def leave(done: int, total: int, phase: str, last: int = last) -> None:
            if done == last:
                raise LeftError

        with pytest.raises(LeftError):
            loss_and_gradients(model, batch, dials, leave)
        assert mx.fast.scaled_dot_product_attention is native
        assert all(one is two for one, two in zip(objects(model), before, strict=True))
    after = [np.array(array) for _, array in tree_flatten(model.parameters())]
    assert all((one == two).all() for one, two in zip(after, values, strict=True))
    assert same(run(model, batch, dials), expected)


def test_a_step_leaves_model_and_mlx_as_they_were() -> None:
    model, native = llama(), mx.fast.scaled_dot_product_attention
    before = objects(model)
    run(model, usual_batch(), Dials(16, 2))
    assert mx.fast.scaled_dot_product_attention is native
    assert all(one is two for one, two in zip(objects(model), before, strict=True))


def peak(model: Any, length: int, dials: Dials | None) -> int:
    """Return how much memory a step takes beside the model."""
    batch = batch_of(episode(length, [(i, i + 2) for i in range(20, length, 60)]))
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    run(model, batch, dials)
    return int(mx.get_peak_memory() - before)


def test_memory_rises_much_slower_with_length_than_that_of_the_plain_step() -> None:
    model = usual_llama()
    run(model, usual_batch(), None)  # measures MLX's attention, once
    plain = [peak(model, length, None) for length in (1024, 2048)]
    chunked = [peak(model, length, Dials(128, 2)) for length in (1024, 2048)]
    assert 0 < chunked[1] - chunked[0] < (plain[1] - plain[0]) / 3
    assert chunked[1] < plain[1] / 2


def test_shorter_chunks_take_less_memory() -> None:
    model = adapted(random_llama(layers=2, width=256, vocab=VOCABULARY))
    run(model, usual_batch(), None)
    peaks = [peak(model, 1024, Dials(chunk, 2)) for chunk in (64, 256, 1024)]
    assert peaks[0] < peaks[1] < peaks[2]


def test_gradients_that_wait_are_summed_in_float32() -> None:
    cache, span = KeyValues(), (0, 2)
    cache.open([span, (2, 4)])
    ones = mx.ones((1, 1, 2, 3), mx.bfloat16)
    cache.send(0, span, 256 * ones)
    for _ in range(3):
        cache.send(0, span, ones)  # each of them is lost in a bfloat16 that holds 256
    waiting = cache.received(0, span, ones.astype(mx.float32))
    assert waiting.tolist() == [[[[260.0] * 3] * 2]]
