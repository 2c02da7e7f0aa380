"""Models that compute in float16, as many 4-bit models do: exactness, range, types."""

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.tuner.lora import LoRALinear

from tests.architectures.parts import GEMMA4
from tests.fakes import letters_task, random_llama
from tests.training.test_train import run_it, small_recipe
from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import RunError
from yofo_mlx.gradients.chunked import chunked_loss_and_gradients
from yofo_mlx.gradients.dials import Dials
from yofo_mlx.gradients.exactness import (
    FLOAT32_TOLERANCE,
    HALF_TOLERANCE,
    measure_exactness,
    small_comparison,
)
from yofo_mlx.gradients.objective import summed_loss, token_losses
from yofo_mlx.gradients.own_code import own_code_replaced
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.models.base import load_base
from yofo_mlx.recipe.schema import Lora, Objective
from yofo_mlx.tasks.registry import TaskEntry

HALVES = [mx.bfloat16, mx.float16]
LORA = Lora(rank=2)
MORE = ("gemma3_text", "phi3")  # other kernels to compile; llama shows the same


@pytest.mark.parametrize(
    "kind", ["llama", *(pytest.param(kind, marks=pytest.mark.long) for kind in MORE)]
)
def test_chunks_of_float16_are_closer_to_plain_autograd_than_those_of_bfloat16(kind: str) -> None:
    bfloat16, float16 = (small_comparison({"model_type": kind}, LORA, d) for d in HALVES)
    assert bfloat16.is_exact and float16.is_exact
    assert float16.gradients < bfloat16.gradients / 2


def test_where_rounding_alone_sets_half_precision_far_apart_that_is_the_measure() -> None:
    config = GEMMA4 | {"model_type": "gemma4_text"}  # its small model divides by small norms
    found = small_comparison(config, LORA, mx.bfloat16)
    assert found.is_exact and HALF_TOLERANCE < found.gradients < found.tolerance
    assert small_comparison(config, LORA).tolerance == FLOAT32_TOLERANCE


def quantized(dtype: mx.Dtype) -> Any:
    """Return a model of 4 bits whose scales, and so its activations, are of a type."""
    model = random_llama(width=64)
    model.set_dtype(dtype)
    nn.quantize(model, group_size=32, bits=4)
    add_adapter(model, LORA)
    return model


def gradients(model: Any, tokens: int = 64, targets: str = "all") -> tuple[float, dict[str, Any]]:
    draw = np.random.default_rng(0).integers(0, 261, tokens).tolist()
    answers = [(end - 2, end) for end in range(4, tokens + 1, 4)]
    objective = Objective(targets=targets, normalize="token")
    batch = make_batch([Episode("letters", draw, answers)], objective)
    loss, found = chunked_loss_and_gradients(model, batch, Dials(16, 1))
    return float(loss.item()), dict(tree_flatten(found))


@pytest.mark.parametrize("dtype", HALVES)
def test_a_4_bit_model_is_trained_in_the_type_of_its_scales(dtype: mx.Dtype) -> None:
    model = quantized(dtype)
    assert model(mx.array([[1, 2]])).dtype == dtype
    assert measure_exactness(model).is_exact
    _, found = gradients(model)
    assert {array.dtype for array in found.values()} == {mx.float32}


@pytest.mark.parametrize("dtype", [mx.float32, *HALVES])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_lora_keeps_less_for_the_way_back_and_returns_the_same_bits(
    dtype: mx.Dtype, dropout: float
) -> None:
    linear = nn.Linear(96, 64)
    linear.set_dtype(dtype)
    layer = LoRALinear.from_base(linear, r=4, dropout=dropout)
    layer.lora_b = mx.random.normal(layer.lora_b.shape)
    x = mx.random.normal((2, 50, 96)).astype(dtype)

    def run(x: mx.array, a: mx.array, b: mx.array) -> mx.array:
        mx.random.seed(0)
        layer.lora_a, layer.lora_b = a, b
        return mx.sin(layer(x)).sum()

    arguments = (x, layer.lora_a, layer.lora_b)
    expected = mx.value_and_grad(run, argnums=(0, 1, 2))(*arguments)
    with own_code_replaced():
        found = mx.value_and_grad(run, argnums=(0, 1, 2))(*arguments)
    for (_, one), (_, other) in zip(tree_flatten(expected), tree_flatten(found), strict=True):
        assert one.dtype == other.dtype and mx.array_equal(one, other)


def test_float16_has_the_loss_and_the_gradients_of_float32() -> None:
    results = []
    for dtype in (mx.float32, mx.float16):
        model = random_llama(width=64)
        model.set_dtype(dtype)
        add_adapter(model, LORA)
        results.append(gradients(model, tokens=96, targets="tokens"))
    (loss, expected), (half, found) = results
    assert half == pytest.approx(loss, rel=1e-3)
    for name, array in expected.items():
        difference = mx.linalg.norm(found[name] - array).item()
        assert difference <= 0.02 * mx.linalg.norm(array).item()


@pytest.mark.parametrize("targets", [64, 20_000])
def test_the_loss_of_many_targets_stays_in_range(targets: int) -> None:
    """The sum over targets is beyond float16: it is taken in float32, and so are the logits."""
    logits = mx.full((targets, 9), 40_000.0, dtype=mx.float16).astype(mx.float32)
    wanted = mx.zeros(targets, dtype=mx.int32)
    loss, gradient = mx.value_and_grad(lambda x: token_losses(x, wanted).sum())(logits)
    assert loss.item() == pytest.approx(targets * np.log(9), rel=5e-3)
    assert mx.isfinite(gradient).all().item()


def test_the_gradient_that_reaches_a_float16_model_is_not_lost_below_its_smallest_number() -> None:
    """Sums are divided at the end: what flows back through the layers is of the size of one."""
    model = random_llama(width=64)
    model.set_dtype(mx.float16)
    add_adapter(model, LORA)
    draw = np.random.default_rng(0).integers(0, 261, 128).tolist()
    batch = make_batch([Episode("letters", draw, [(1, 128)])], Objective())  # weights of 1 / 127
    _, found = nn.value_and_grad(model, summed_loss)(model, batch)
    arrays = [array for name, array in tree_flatten(found) if name.endswith("lora_b")]
    assert all((array != 0).all().item() for array in arrays)


def test_a_model_that_leaves_the_range_of_float16_is_told() -> None:
    base = load_base("tiny")
    base.model.set_dtype(mx.float16)
    base.model.model.norm.weight = base.model.model.norm.weight * 60_000
    task = letters_task()
    entries = [TaskEntry(task, "train", "exact", None, 1.0, "")]
    recipe = small_recipe("train.steps=1")
    with pytest.raises(RunError, match="step 1: loss nan") as caught:
        run_it(recipe, entries, base=base)
    assert 'dtype = "bfloat16"' in caught.value.hint
