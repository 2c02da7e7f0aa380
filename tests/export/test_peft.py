"""PEFT's form of adapters, out and in: the same update of every weight."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.export.adapters import random_adapter
from yofo_mlx.errors import RunError
from yofo_mlx.export.peft import check_modules, file_names, write_peft
from yofo_mlx.models.adapter_files import folder_of, read_settings
from yofo_mlx.models.adapters import load_adapter
from yofo_mlx.models.base import load_base, model_path
from yofo_mlx.models.peft_files import converted

LORA = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "tiny"}
Arrays = dict[str, np.ndarray[Any, Any]]


def peft(folder: Path, arrays: Arrays, **settings: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({f"base_model.model.{key}": value for key, value in arrays.items()}, folder / FILE)
    (folder / "adapter_config.json").write_text(json.dumps(LORA | settings))
    return folder


FILE = "adapter_model.safetensors"
Q, V = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj"


def halves(module: str, rank: int, seed: int = 0) -> Arrays:
    draw = np.random.default_rng(seed)
    return {
        f"{module}.lora_A.weight": draw.normal(size=(rank, 128)).astype(np.float32),
        f"{module}.lora_B.weight": draw.normal(size=(128, rank)).astype(np.float32),
    }


def update(folder: Path, module: str) -> np.ndarray[Any, Any]:
    """Return what mlx-lm adds to a weight: out x in."""
    arrays: Any = mx.load(str(folder / "adapters.safetensors"))
    scale = read_settings(folder).lora.scale
    return np.array(scale * (arrays[f"{module}.lora_a"] @ arrays[f"{module}.lora_b"]).T)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_out_and_in_again_is_the_same_adapter(tmp_path: Path, kind: str) -> None:
    keys = ("mlp.up_proj", "self_attn.v_proj")
    adapter = random_adapter(tmp_path / "one", fine_tune_type=kind, dropout=0.1, keys=keys)
    (tmp_path / "peft").mkdir()
    write_peft(adapter, "tiny", file_names(model_path("tiny")), tmp_path / "peft")
    settings = json.loads((tmp_path / "peft/adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"], settings["use_dora"]) == (3, 12, kind == "dora")
    again = folder_of(str(tmp_path / "peft"))
    before: Any = mx.load(str(adapter / "adapters.safetensors"))
    after: Any = mx.load(str(again / "adapters.safetensors"))
    assert before.keys() == after.keys()
    assert all(mx.array_equal(before[name], after[name]) for name in before)
    one, two = read_settings(adapter).lora, read_settings(again).lora
    assert (one.rank, one.scale, one.dropout, one.fine_tune_type) == (
        two.rank,
        two.scale,
        two.dropout,
        two.fine_tune_type,
    )
    assert converted(tmp_path / "peft") == again  # once


def test_ia3_is_a_row_before_a_feed_forward_unit_ends_and_a_column_elsewhere(
    tmp_path: Path,
) -> None:
    adapter = random_adapter(tmp_path / "one", fine_tune_type="ia3")
    (tmp_path / "peft").mkdir()
    write_peft(adapter, "tiny", file_names(model_path("tiny")), tmp_path / "peft")
    settings = json.loads((tmp_path / "peft/adapter_config.json").read_text())
    assert settings["peft_type"] == "IA3" and len(settings["target_modules"]) == 15
    assert all(name.endswith("mlp.down_proj") for name in settings["feedforward_modules"])
    theirs: Any = mx.load(str(tmp_path / "peft" / FILE))
    place = "base_model.model.model.layers.0.{}.ia3_l"
    assert theirs[place.format("self_attn.k_proj")].shape == (128, 1)
    assert theirs[place.format("mlp.down_proj")].shape[0] == 1
    again = folder_of(str(tmp_path / "peft"))
    assert read_settings(again).lora.fine_tune_type == "ia3"
    before: Any = mx.load(str(adapter / "adapters.safetensors"))
    after: Any = mx.load(str(again / "adapters.safetensors"))
    assert before.keys() == after.keys()
    assert all(mx.array_equal(before[name], after[name]) for name in before)
    assert len({float(array[0]) for array in after.values()}) > 1
    load_adapter(load_base("tiny").model, again)
    column = {f"{Q.replace('q_proj', 'k_proj')}.ia3_l": np.ones((1, 128), np.float32)}
    with pytest.raises(RunError, match="multiplies other numbers"):
        converted(peft(tmp_path / "two", column, peft_type="IA3"))


def test_ranks_and_scales_of_their_own_are_kept(tmp_path: Path) -> None:
    arrays = halves(Q, 4) | halves(V, 2, seed=1)
    for name, settings, first, second in (
        ("plain", {}, 8 / 4, 8 / 2),
        ("alpha", {"alpha_pattern": {"v_proj": 5}}, 8 / 4, 5 / 2),
        ("rslora", {"use_rslora": True}, 8 / 2, 8 / 2**0.5),
    ):
        folder = converted(peft(tmp_path / name, arrays, rank_pattern={"v_proj": 2}, **settings))
        for module, scale in ((Q, first), (V, second)):
            a, b = arrays[f"{module}.lora_A.weight"], arrays[f"{module}.lora_B.weight"]
            np.testing.assert_allclose(update(folder, module), scale * b @ a, rtol=2e-4, atol=1e-4)
    # Modules without weights change nothing, and can learn.
    model = load_base("tiny").model
    load_adapter(model, folder)
    layer = model.layers[1].self_attn.q_proj
    assert not layer.lora_b.any().item() and layer.lora_a.any().item()
    arrays = halves(Q, 4)
    del arrays[f"{Q}.lora_B.weight"]
    torn = converted(peft(tmp_path / "torn", arrays))
    with pytest.raises(RunError, match="lacks"):
        load_adapter(load_base("tiny").model, torn)


def test_training_goes_on_from_it(yofo: Any, tmp_path: Path) -> None:
    rows = "".join(f'{{"input": "question {i}", "output": "{i % 3}"}}\n' for i in range(20))
    (tmp_path / "rows.jsonl").write_text(rows)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'model = "tiny"\nepisodes = { max_tokens = 96 }\ntrain = { steps = 1 }\n'
        'evaluation = { valid_tasks = 0 }\n[[tasks]]\nsource = "rows.jsonl"\n'
    )
    made = peft(tmp_path / "made", halves(Q, 4))
    code, _, err = yofo("train", recipe, "--set", f"init_adapter={made}")
    assert code == 0, err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"peft_type": "LOHA"}, "of the kind 'LOHA', not LORA"),
        ({"bias": "all"}, "its bias is 'all'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"r": "x", "lora_alpha": None}, "cannot be used"),
    ],
)
def test_what_computes_otherwise_is_refused(
    tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(RunError, match=words):
        converted(peft(tmp_path / "one", halves(Q, 4), **settings))
    with pytest.raises(RunError, match="is no part of a linear layer's adapter"):
        converted(peft(tmp_path / "two", halves("lm_head", 4)))


def test_bfloat16_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    arrays = peft(folder, halves(Q, 4)) and mx.load(str(folder / FILE))
    half = {name: array.astype(mx.bfloat16) for name, array in dict(arrays).items()}
    mx.save_safetensors(str(folder / FILE), half, {"format": "pt"})
    a, b = (half[f"base_model.model.{Q}.lora_{x}.weight"].astype(mx.float32) for x in "AB")
    np.testing.assert_allclose(update(converted(folder), Q), np.array(2 * b @ a), rtol=1e-4)


def test_what_other_tools_have_no_place_for_is_refused() -> None:
    with pytest.raises(RunError, match="adapts all experts at once"):
        check_modules(["x"], {"x.lora_a": mx.zeros((2, 3, 4))}, frozenset())
    with pytest.raises(RunError, match="know no x: transformers calls it otherwise"):
        check_modules(["x"], {"x.lora_a": mx.zeros((2, 3))}, frozenset(["y.weight"]))
