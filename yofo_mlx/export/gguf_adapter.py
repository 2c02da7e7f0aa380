"""An adapter as llama.cpp's LoRA file, for `--lora` beside a GGUF file of the same base."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np

from yofo_mlx.errors import RunError
from yofo_mlx.models.adapter_files import WEIGHTS_FILE, read_settings
from yofo_mlx.models.gguf.shape import MODULES
from yofo_mlx.system.arrays import load_arrays

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
NAMES = {here: there for there, here in MODULES.items()}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")


def architecture(config: dict[str, Any]) -> str:
    """Return llama.cpp's name of a model's architecture; others than these are refused."""
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES:
        raise RunError(
            f"yofo writes no GGUF adapter for the architecture {kind!r}",
            f"it does for {', '.join(ARCHITECTURES)}; `--to fused` works for all",
        )
    return ARCHITECTURES[kind]


def write_gguf_adapter(adapter: Path, config: dict[str, Any], path: Path) -> None:
    """Write an adapter of mlx-lm's form as one file of float32 halves."""
    kind = architecture(config)
    lora = read_settings(adapter).lora
    if lora.fine_tune_type != "lora":
        raise RunError(
            "llama.cpp knows LoRA, not DoRA", "export it fused: `--to gguf`, or `--to fused`"
        )
    writer = gguf.GGUFWriter(path, kind)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, lora.scale * lora.rank)
    for name, half in _tensors(load_arrays(adapter / WEIGHTS_FILE), config, kind):
        writer.add_tensor(name, half)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(
    arrays: dict[str, mx.array], config: dict[str, Any], kind: str
) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    heads = {}
    if kind == "llama":  # whose queries and keys llama.cpp keeps in another order
        number = config["num_attention_heads"]
        heads = {"attn_q": number, "attn_k": config.get("num_key_value_heads") or number}
    for name, array in sorted(arrays.items()):
        module, _, half = name.rpartition(".")
        place = _LAYER.fullmatch(module)
        there = NAMES.get(place[2]) if place else None
        if place is None or there is None:
            raise RunError(
                f"llama.cpp has no place for an adapter of {module}", "export it: `--to fused`"
            )
        rows = np.array(array.astype(mx.float32).T)
        if half == "lora_b" and there in heads:
            rows = pairs(rows, heads[there])
        yield f"blk.{place[1]}.{there}.weight.{half}", np.ascontiguousarray(rows)


def pairs(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Put rows that rotate in the two halves of each head into neighbouring pairs."""
    halved = rows.reshape(heads, 2, -1, rows.shape[-1])
    return halved.swapaxes(1, 2).reshape(rows.shape)
