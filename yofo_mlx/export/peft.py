"""Adapters in PEFT's form, out and in: LoRA, DoRA and (IA)3 on linear layers.

mlx-lm computes x A B scale with A (in, r), PEFT B A x alpha / r with A (r, in): transposed, and
alpha = scale r. Of (IA)3 a row there multiplies inputs, a column outputs. Names of modules are
those of transformers where mlx-lm keeps them, which the base model's files show.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import RunError
from yofo_mlx.export.kinds import check_form
from yofo_mlx.models.adapter_files import CONFIG_FILE, WEIGHTS_FILE, read_settings
from yofo_mlx.models.layer_names import ends_feed_forward
from yofo_mlx.models.peft_files import WEIGHTS_FILE as PEFT_WEIGHTS
from yofo_mlx.recipe.names import is_on_hub
from yofo_mlx.recipe.schema import Lora
from yofo_mlx.system.arrays import load_arrays, save_arrays

PREFIX = "base_model.model."
HALVES = {
    "lora_a": "lora_A.weight",
    "lora_b": "lora_B.weight",
    "m": "lora_magnitude_vector",
    "ia3": "ia3_l",
}


def write_peft(adapter: Path, base: str, base_names: frozenset[str], folder: Path) -> None:
    """Write an adapter of mlx-lm's form as PEFT's adapter_model.safetensors and its settings."""
    lora = read_settings(adapter).lora
    check_form(lora, "peft")
    arrays = load_arrays(adapter / WEIGHTS_FILE)
    modules = sorted({name.rpartition(".")[0] for name in arrays})
    check_modules(modules, arrays, base_names)
    save_arrays(folder / PEFT_WEIGHTS, dict(_renamed(arrays)), {"format": "pt"})
    own = _ia3_settings(modules) if lora.fine_tune_type == "ia3" else _lora_settings(lora)
    settings = {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base if is_on_hub(base) else "",
        "inference_mode": True,
        "fan_in_fan_out": False,
        "target_modules": modules,  # by their whole names: these and no others
    }
    (folder / CONFIG_FILE).write_text(json.dumps(own | settings, indent=2) + "\n", encoding="utf-8")


def _ia3_settings(modules: list[str]) -> dict[str, Any]:
    return {"peft_type": "IA3", "feedforward_modules": [m for m in modules if ends_feed_forward(m)]}


def _lora_settings(lora: Lora) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "r": lora.rank,
        "lora_alpha": lora.rank * lora.scale,
        "lora_dropout": lora.dropout,
        "use_dora": lora.fine_tune_type == "dora",
        "use_rslora": False,
        "bias": "none",
    }


def check_modules(
    modules: list[str], arrays: Mapping[str, mx.array], base_names: frozenset[str]
) -> None:
    """Refuse what other tools have no place for: stacked experts, modules by other names."""
    if stacked := [name for name in arrays if arrays[name].ndim > 2]:
        raise RunError(
            f"{stacked[0]} adapts all experts at once, which no other tool's adapter can",
            "export it fused: `--to fused`",
        )
    if other := [name for name in modules if f"{name}.weight" not in base_names]:
        raise RunError(
            f"the base model's files know no {other[0]}: transformers calls it otherwise",
            "export it fused: `--to fused`",
        )


def _renamed(arrays: Mapping[str, mx.array]) -> list[tuple[str, mx.array]]:
    renamed = []
    for name, array in arrays.items():
        module, _, half = name.rpartition(".")
        if half == "ia3":
            whole = array[None] if ends_feed_forward(module) else array[:, None]
        else:
            whole = array if half == "m" else array.T
        renamed.append((f"{PREFIX}{module}.{HALVES[half]}", mx.contiguous(whole)))
    return renamed


def file_names(path: Path) -> frozenset[str]:
    """Return the names of the weights in a model directory's files, quantized ones included."""
    found: set[str] = set()
    for file in sorted(path.glob("*.safetensors")):
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            found |= json.loads(stream.read(size)).keys()
    return frozenset(re.sub(r"^language_model\.", "", name) for name in found)
