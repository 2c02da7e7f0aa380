"""(IA)3, BitFit and bottlenecks: nothing at first, then what their formulas say."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map, tree_unflatten
from mlx_lm.tuner.utils import load_adapters as mlx_lm_load

from tests.tiny_models import tiny_model
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.models.adapter_files import read_settings
from yofo_mlx.models.adapter_layers import KINDS
from yofo_mlx.models.adapters import (
    adapter_weights,
    add_adapter,
    check_adapter,
    load_adapter,
    mount,
    save_adapter,
)
from yofo_mlx.recipe.schema import Lora

TOKENS = mx.array([[5, 17, 3, 90, 8, 23], [1, 2, 3, 4, 5, 6]])


def lora(kind: str, **others: Any) -> Lora:
    return Lora.model_validate({"fine_tune_type": kind, "rank": 3, "scale": 2.0} | others)


def prepared(name: str, form: str) -> Any:
    model = tiny_model(name)
    if form == "bfloat16":
        model.set_dtype(mx.bfloat16)
    if form == "quantized":
        nn.quantize(model, group_size=32, bits=8, class_predicate=_can_be_packed)
    return model


def _can_be_packed(_: str, module: Any) -> bool:
    return hasattr(module, "to_quantized") and module.weight.shape[-1] % 32 == 0


def moved(model: Any) -> None:
    """Take an adapter off its start."""
    mx.random.seed(1)
    arrays = tree_map(
        lambda a: a + 0.1 * mx.random.normal(a.shape, a.dtype), model.trainable_parameters()
    )
    model.update(arrays)


def same(one: mx.array, two: mx.array) -> bool:
    return bool(mx.array_equal(one, two).item())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("qwen2", "float32"),
        ("qwen2", "bfloat16"),
        ("qwen2", "quantized"),
        ("qwen2_moe", "quantized"),  # stacked experts
        ("starcoder2", "float32"),  # norms with biases
    ],
)
def test_a_fresh_one_changes_no_bit_and_one_off_its_start_all(
    name: str, kind: str, form: str, tmp_path: Path
) -> None:
    """Saved, it says the same on a fresh base, and comes off without a trace."""
    model = prepared(name, form)
    before = model(TOKENS)
    shape = lora(kind)
    add_adapter(model, shape)
    assert same(model(TOKENS), before)
    weights = adapter_weights(model)
    assert {array.dtype for array in weights.values()} == {mx.float32}
    assert {name.rpartition(".")[2] for name in weights} == set(KINDS[kind][1])
    moved(model)
    after = model(TOKENS)
    assert after.dtype == before.dtype and not same(after, before)
    save_adapter(tmp_path, model, shape, "base")
    assert read_settings(tmp_path).lora == shape
    base = prepared(name, form)
    mounted = mount(base, tmp_path)
    assert same(base(TOKENS), after)
    mounted.take_off()
    assert same(base(TOKENS), before)
    mounted.put_on()
    assert same(base(TOKENS), after)


@pytest.mark.parametrize("kind", ["ia3", "bitfit"])
@pytest.mark.parametrize("name", ["qwen2", "qwen2_moe"])
def test_its_gradient_is_that_of_the_weights_it_stands_for(name: str, kind: str) -> None:
    """A naive twin: the model with the fused weights, whose layers know nothing of adapters."""
    model = tiny_model(name)
    add_adapter(model, lora(kind))
    moved(model)

    def loss(model: Any) -> mx.array:
        return nn.losses.cross_entropy(model(TOKENS), TOKENS).sum()

    value, tree = nn.value_and_grad(model, loss)(model)
    found = dict(tree_flatten(tree))
    original = dict(tree_flatten(model.parameters()))
    fused = [(n, m.fuse()) for n, m in model.named_modules() if hasattr(m, "fuse")]
    model.update_modules(tree_unflatten(fused))
    model.unfreeze()
    twin, tree = nn.value_and_grad(model, loss)(model)
    whole = dict(tree_flatten(tree))
    assert value.item() == pytest.approx(twin.item(), rel=1e-5)
    for name, gradient in found.items():
        module, _, leaf = name.rpartition(".")
        expected = whole[name] if leaf == "bias" else _of_scales(module, original, whole)
        limit = 1e-4 * mx.abs(expected).max().item() + 1e-6
        np.testing.assert_allclose(np.array(gradient), np.array(expected), atol=limit)


def _of_scales(module: str, original: Any, whole: Any) -> mx.array:
    """Return dL/dl = sum of dL/d(lW) W over what a number of l multiplies, and of the bias."""
    weight, d_weight = original[f"{module}.linear.weight"], whole[f"{module}.weight"]
    if "down_proj" in module:
        found: mx.array = (weight * d_weight).reshape(-1, weight.shape[-1]).sum(0)
        return found
    bias = original.get(f"{module}.linear.bias", mx.array(0.0))
    return (weight * d_weight).sum(-1) + bias * whole.get(f"{module}.bias", mx.array(0.0))


def test_a_bottleneck_is_its_formula_and_its_gradient() -> None:
    """In float64, by differences."""
    make, leaves = KINDS["bottleneck"]
    mx.random.seed(2)
    layer = make(nn.Linear(5, 4), "o_proj", lora("bottleneck"))
    layer.adapter_up = mx.random.normal(layer.adapter_up.shape)
    x = mx.random.normal((6, 5))

    def naive(down: Any, up: Any) -> Any:
        y = np.array(x, float) @ np.array(layer.linear.weight, float).T + np.array(
            layer.linear.bias
        )
        h = y @ down
        gelu = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
        return y + 2.0 * gelu @ up

    down, up = (np.array(layer[leaf], float) for leaf in leaves)
    np.testing.assert_allclose(np.array(layer(x)), naive(down, up), rtol=1e-4, atol=1e-5)
    layer.linear.freeze()
    gradient = nn.value_and_grad(layer, lambda one: (one(x) ** 2).sum())(layer)[1]
    for place, leaf in enumerate(leaves):
        for index in np.ndindex(down.shape if place == 0 else up.shape):
            both = [down.copy(), up.copy()], [down.copy(), up.copy()]
            both[0][place][index] += 1e-5
            both[1][place][index] -= 1e-5
            rise = [(naive(*arrays) ** 2).sum() for arrays in both]
            expected = (rise[0] - rise[1]) / 2e-5
            assert np.array(gradient[leaf])[index] == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("form", ["float32", "quantized"])
@pytest.mark.parametrize("kind", ["ia3", "bitfit"])
def test_fused_it_says_the_same(kind: str, form: str) -> None:
    for name in ("qwen2", "qwen2_moe"):
        model = prepared(name, form)
        add_adapter(model, lora(kind))
        moved(model)
        before = model(TOKENS)
        layers = [(n, m.fuse()) for n, m in model.named_modules() if hasattr(m, "fuse")]
        model.update_modules(tree_unflatten(layers))
        names = set(dict(tree_flatten(model.parameters())))
        assert names == set(dict(tree_flatten(prepared(name, form).parameters())))
        near = 1e-4 if form == "float32" or kind == "bitfit" else 0.05  # it is rounded again
        assert mx.abs(model(TOKENS) - before).max().item() < near * mx.abs(before).max().item()


def test_mlx_lm_takes_bitfit_as_full_and_refuses_the_others_by_name(tmp_path: Path) -> None:
    for kind in KINDS:
        model = tiny_model("qwen2")
        add_adapter(model, lora(kind))
        moved(model)
        (tmp_path / kind).mkdir()
        save_adapter(tmp_path / kind, model, lora(kind), "base")
        base = tiny_model("qwen2")
        if kind == "bitfit":
            assert same(mlx_lm_load(base, str(tmp_path / kind))(TOKENS), model(TOKENS))
            continue
        with pytest.raises(ValueError, match="not an adapter parameter in the model"):
            mlx_lm_load(base, str(tmp_path / kind))


def test_what_a_model_has_no_place_for_is_refused_by_name() -> None:
    for name, settings, words in (
        ("llama", {"fine_tune_type": "bitfit"}, "llama has no biases in its layers"),
        (
            "qwen2",
            {"fine_tune_type": "bitfit", "keys": ["mlp.up_proj"]},
            "qwen2 has no biases in mlp.up_proj",
        ),
        ("gpt2", {"fine_tune_type": "ia3"}, "gpt2 has no layers of the names"),
        ("phi3", {"fine_tune_type": "ia3"}, "phi3 has no layers of the names"),
    ):
        with pytest.raises(RecipeError, match=words):
            check_adapter(tiny_model(name), Lora.model_validate_json(json.dumps(settings)))


def test_arrays_of_another_model_are_refused(tmp_path: Path) -> None:
    model = tiny_model("qwen2")
    add_adapter(model, lora("ia3"))
    save_adapter(tmp_path, model, lora("ia3"), "base")
    with pytest.raises(RunError, match=r"is 16 there, 8 here"):
        load_adapter(tiny_model("qwen2", num_key_value_heads=1), tmp_path)
    with pytest.raises(RunError, match=r"is 16 there, missing here"):
        load_adapter(tiny_model("qwen2", num_hidden_layers=2), tmp_path)
    arrays: Any = mx.load(str(tmp_path / "adapters.safetensors"))
    arrays.popitem()
    mx.save_safetensors(str(tmp_path / "adapters.safetensors"), arrays)
    with pytest.raises(RunError, match="lacks"):
        load_adapter(tiny_model("qwen2"), tmp_path)
