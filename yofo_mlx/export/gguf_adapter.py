"""An adapter as llama.cpp's LoRA file, for `--lora` beside a GGUF file of the same base."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np

from yofo_mlx.errors import RunError
from yofo_mlx.export.gguf_names import Array, architecture, module_name, pairs, rotated_heads
from yofo_mlx.export.kinds import check_form
from yofo_mlx.models.adapter_files import WEIGHTS_FILE, read_settings
from yofo_mlx.system.arrays import load_arrays


def write_gguf_adapter(adapter: Path, config: dict[str, Any], path: Path) -> None:
    """Write an adapter of mlx-lm's form as one file of float32 halves."""
    kind = architecture(config)
    lora = read_settings(adapter).lora
    check_form(lora, "gguf-adapter")
    writer = gguf.GGUFWriter(path, kind)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, lora.scale * lora.rank)
    for name, half in _tensors(load_arrays(adapter / WEIGHTS_FILE), config):
        writer.add_tensor(name, half)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(arrays: dict[str, mx.array], config: dict[str, Any]) -> Iterator[tuple[str, Array]]:
    for name, array in sorted(arrays.items()):
        module, _, half = name.rpartition(".")
        try:
            there = module_name(module)
        except LookupError:
            raise RunError(
                f"llama.cpp has no place for an adapter of {module}", "export it: `--to fused`"
            ) from None
        rows = np.array(array.astype(mx.float32).T)
        heads = rotated_heads(module, config)
        if half == "lora_b" and heads:
            rows = pairs(rows, heads)
        yield f"{there}.weight.{half}", np.ascontiguousarray(rows)
