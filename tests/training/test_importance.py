"""Updates weighted by importance: what the formula says, and what it does to a model."""

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten

from tests.definitions import defined
from tests.fakes import random_llama
from tests.objectives.test_effects import LABELS, after, learner, likelihoods, recipe
from tests.tiny_models import tiny_model
from yofo_mlx.errors import RecipeError
from yofo_mlx.models.adapters import adapter_weights, add_adapter
from yofo_mlx.recipe.schema import Lora, Optimizer
from yofo_mlx.training import importance
from yofo_mlx.training.importance import optimizer_of
from yofo_mlx.training.loop import draw

RATE = 0.01


def definition() -> Any:
    names = {name: getattr(np, name) for name in ("mean", "std", "where", "minimum")}
    return defined(
        importance.__doc__, "def important", sigmoid=lambda x: 1 / (1 + np.exp(-x)), **names
    )["shares"]


def prepared(model: Any, *, on: bool) -> tuple[Any, Any]:
    """Return a model with an adapter, and its optimizer."""
    mx.random.seed(0)
    add_adapter(model, Lora(rank=3))
    optimizer = optimizer_of(Optimizer(importance=on), model)
    optimizer.init(model.trainable_parameters())
    return model, optimizer


def gradients(model: Any, seed: int) -> Any:
    draw = np.random.default_rng(seed)
    flat: list[Any] = tree_flatten(model.trainable_parameters())
    # Outputs differ in size, as real ones do.
    drawn = [(name, draw.normal(size=a.shape) * draw.random(a.shape[-1])) for name, a in flat]
    return tree_unflatten([(name, mx.array(a, dtype=mx.float32)) for name, a in drawn])


def updated(model: Any, optimizer: Any, seeds: range) -> None:
    for seed in seeds:
        optimizer.learning_rate = RATE
        optimizer.update(model, gradients(model, seed))


def test_updates_are_those_of_the_definition() -> None:
    (model, own), (twin, plain) = (prepared(random_llama(), on=on) for on in (True, False))
    assert type(plain) is optim.AdamW
    shares, sums = definition(), {}
    for seed in range(3):
        updated(model, own, range(seed, seed + 1))
        updated(twin, plain, range(seed, seed + 1))
        for name, gradient in tree_flatten(gradients(twin, seed)):
            if not name.endswith("lora_b"):
                continue
            layer = name.removesuffix(".lora_b")
            module = dict(twin.named_modules())[layer]
            sums[name] = sums.get(name, 0.0) + np.array(gradient, np.float64)
            weights = np.abs(np.array(module.linear.weight, np.float64)).mean(axis=1)
            share = shares(weights, np.abs(sums[name]).mean(axis=0))
            assert 0.2 < np.mean(share == 0.0) < 0.8 and (share == 1.0).any()
            module.lora_b = module.lora_b * mx.array(share, dtype=mx.float32)
    found, expected = adapter_weights(model), adapter_weights(twin)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(np.array(found[name]), np.array(array), rtol=1e-4, atol=1e-7)


def test_a_state_that_was_put_back_goes_on_alike() -> None:
    model, optimizer = prepared(random_llama(), on=True)
    other, again = prepared(random_llama(), on=True)
    updated(model, optimizer, range(2))
    other.update(model.trainable_parameters())
    again.state = tree_unflatten(list(tree_flatten(optimizer.state)))
    for one, its in ((model, optimizer), (other, again)):
        updated(one, its, range(2, 3))
    for name, array in adapter_weights(model).items():
        assert mx.array_equal(array, adapter_weights(other)[name]).item(), name


@pytest.mark.parametrize(("name", "kind"), [("mixtral", "switch"), ("llama", "quantized")])
def test_experts_and_quantized_weights_are_compared_as_well(name: str, kind: str) -> None:
    model = tiny_model(name)
    if kind == "quantized":
        nn.quantize(model, 32, 8, class_predicate=lambda _, m: _can_be_packed(m))
    whole, _ = prepared(tiny_model(name), on=True)
    model, optimizer = prepared(model, on=True)
    updated(model, optimizer, range(1))
    of_whole = dict(whole.named_modules())
    for path, module in model.named_modules():
        if "lora_b" not in module:
            continue
        base = of_whole[path].linear.weight
        sizes = np.abs(np.array(base, np.float64)).mean(axis=-1)
        spread = (sizes - sizes.mean()) / sizes.std()
        state = dict(tree_flatten(optimizer.state))[f"{path}.lora_b.base"]
        np.testing.assert_allclose(
            np.array(state).ravel(), 1 / (1 + np.exp(-spread)).ravel(), atol=0.05
        )
        is_still = np.array(mx.abs(module.lora_b).sum(axis=-1 if base.ndim == 3 else 0)) == 0
        assert is_still.size == sizes.size and 0 < is_still.mean() < 1


def _can_be_packed(module: Any) -> bool:
    return hasattr(module, "to_quantized") and module.weight.shape[-1] % 32 == 0


def test_a_model_learns_and_many_of_its_outputs_stay_the_base_s() -> None:
    asked = (LABELS, "optimizer.learning_rate=0.01", "optimizer.importance=true")
    plain, own = after(recipe(*asked[:2]), 4), after(recipe(*asked), 4)
    batch = draw(learner(recipe(LABELS)))[0]
    begun = likelihoods(learner(recipe(LABELS)), batch, "own")
    assert likelihoods(own, batch, "own") > begun + 0.1
    moved = []
    for made in (plain, own):
        columns = [
            np.abs(np.array(array)).sum(axis=0)
            for name, array in adapter_weights(made.model).items()
            if name.endswith("lora_b")
        ]
        moved.append((np.mean(np.concatenate(columns) > 0), sum(map(np.sum, columns))))
    assert moved[0][0] > 0.9 and 0.2 < moved[1][0] < 0.8
    assert moved[1][1] < moved[0][1]


@pytest.mark.parametrize("other", ["lora.fine_tune_type=dora", "init_adapter=last"])
def test_importance_is_refused_where_it_means_nothing(other: str) -> None:
    with pytest.raises(RecipeError, match=r"optimizer\.importance"):
        recipe(other, "optimizer.importance=true")
