"""What llama.cpp calls architectures and weights, and the order in which it keeps their rows."""

import re
from typing import Any

import numpy as np

from yofo_mlx.errors import RunError
from yofo_mlx.models.gguf.shape import MODULES

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
NAMES = {here: there for there, here in MODULES.items()}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
Array = np.ndarray[Any, Any]


def architecture(config: dict[str, Any]) -> str:
    """Return llama.cpp's name of a model's architecture; others than these are refused."""
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES:
        raise RunError(
            f"yofo writes no GGUF file for the architecture {kind!r}",
            f"it does for {', '.join(ARCHITECTURES)}; `--to fused` works for all, and llama.cpp's"
            " convert_hf_to_gguf takes that",
        )
    return ARCHITECTURES[kind]


def module_name(module: str) -> str:
    """Return what llama.cpp calls a module of mlx-lm's; LookupError where it has none."""
    if module in NAMES:
        return NAMES[module]
    place = _LAYER.fullmatch(module)
    if place is None or place[2] not in NAMES:
        raise LookupError(module)
    return f"blk.{place[1]}.{NAMES[place[2]]}"


def rotated_heads(module: str, config: dict[str, Any]) -> int:
    """Return the heads of a module whose rows llama.cpp keeps in another order; 0 of others."""
    if ARCHITECTURES.get(str(config.get("model_type"))) != "llama":
        return 0
    number = config["num_attention_heads"]
    heads = {"q_proj": number, "k_proj": config.get("num_key_value_heads") or number}
    return int(heads.get(module.rpartition(".")[2], 0))


def pairs(rows: Array, heads: int) -> Array:
    """Put rows that rotate in the two halves of each head into neighbouring pairs."""
    halved = rows.reshape(heads, 2, -1, *rows.shape[1:])
    return np.ascontiguousarray(halved.swapaxes(1, 2)).reshape(rows.shape)
