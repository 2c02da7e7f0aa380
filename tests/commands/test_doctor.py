"""`yofo doctor`: what it finds on this machine, and that a wrong gradient does not pass."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from yofo_mlx.errors import RunError
from yofo_mlx.gradients import tiles
from yofo_mlx.gradients.small_model import small_model

REAL: dict[str, dict[str, Any]] = {
    "llama": {"hidden_size": 4096, "num_hidden_layers": 32, "head_dim": 128},
    "ministral3": {
        "hidden_size": 3072,
        "rope_parameters": {
            "rope_theta": 1e6,
            "type": "yarn",
            "factor": 16.0,
            "original_max_position_embeddings": 16384,
            "llama_4_scaling_beta": 0.1,
        },
        "layer_types": ["full_attention"] * 26,
    },
    "qwen3_moe": {
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
        "tie_word_embeddings": False,
        "max_position_embeddings": 40960,
    },
    "gemma3": {"text_config": {"model_type": "gemma3_text", "sliding_window": 1024}},
    "gpt_oss": {
        "layer_types": ["sliding_attention", "full_attention"] * 12,
        "num_local_experts": 32,
        "num_experts_per_tok": 4,
        "sliding_window": 128,
    },
}


def test_this_machine_is_sound(yofo: Any) -> None:
    code, out, err = yofo("doctor", "--json")
    found = json.loads(out)
    assert (code, err, found["ok"]) == (0, "", True)
    names = [check["name"] for check in found["checks"]]
    assert names[:3] == ["machine", "memory", "type"]
    exact = [check for check in found["checks"] if check["name"].startswith("gradients")]
    assert [check["name"].split(", ")[2] for check in exact] == ["float32", "bfloat16", "float16"]
    assert [check["ok"] for check in exact] == [True, True, True]
    assert exact[0]["figures"]["gradients"] < 1e-5


@pytest.mark.long
def test_a_recipes_architecture_is_looked_at(yofo: Any) -> None:
    code, out, _ = yofo("doctor", "tiny")
    assert code == 0
    assert "heads of 32" in out and "All is well" in out


def test_a_wrong_gradient_is_found(yofo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "LOG2_E", 1.5)
    code, out, err = yofo("doctor")
    assert code == 1
    assert "WRONG" in out and "Do not train" in err


@pytest.mark.parametrize("kind", REAL)
def test_a_small_model_has_the_architecture_of_the_large_one(kind: str) -> None:
    model = small_model({"model_type": kind, "vocab_size": 128256} | REAL[kind])
    assert len(model.layers) == 4
    assert model(mx.array([[1, 2, 3]])).shape[:2] == (1, 3)


def test_experts_that_mlx_cannot_run_in_half_precision_are_said_to_be_unchecked(
    yofo: Any, tmp_path: Path
) -> None:
    config = {"model_type": "qwen3_moe", "vocab_size": 1000} | REAL["qwen3_moe"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, out, _ = yofo("doctor", "tiny", "--set", f'model="{tmp_path}"')
    assert code == 0
    assert "gradients, qwen3_moe, float32: chunks against" in out
    assert "gradients, qwen3_moe, bfloat16" in out


def test_an_architecture_that_is_not_supported_is_not_the_machines_fault(
    yofo: Any, tmp_path: Path
) -> None:
    config = {
        "model_type": "iquestloopcoder",
        "loop_num": 2,
        "loop_window_size": 64,
        "attention_bias": False,
        "mlp_bias": False,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, out, err = yofo("doctor", "tiny", "--set", f'model="{tmp_path}"')
    assert code == 1
    assert "iquestloopcoder" in out and "cannot be trained in chunks" in err


def test_changes_without_a_recipe_are_refused(yofo: Any) -> None:
    assert yofo("doctor", "--set", "seed=1")[0] == 2


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(RunError, match="'no_such_model'"):
        small_model({"model_type": "no_such_model"})
