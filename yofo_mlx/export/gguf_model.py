"""A fused model as a GGUF file, by mlx-lm's converter, which knows the Llama family in float16."""

from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.gguf import convert_to_gguf
from mlx_lm.utils import load_model

from yofo_mlx.errors import RunError
from yofo_mlx.system.text import reason

KINDS = ("llama", "mistral", "mixtral")


def check_kind(kind: str) -> None:
    """Refuse an architecture that the converter does not write."""
    if kind not in KINDS:
        raise RunError(
            f"mlx-lm writes no GGUF file of the architecture {kind!r}",
            "export `--to fused`, and convert that with llama.cpp's convert_hf_to_gguf.py",
        )


def write_gguf(fused: Path, path: Path) -> None:
    """Write a fused model's directory, which must not be quantized, as a GGUF file of float16."""
    model, config = load_model(fused)
    flat: Any = tree_flatten(model.parameters())
    weights = {
        name: array.astype(mx.float16) if array.dtype == mx.bfloat16 else array
        for name, array in flat
    }
    try:
        convert_to_gguf(fused, weights, config, str(path))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise RunError(
            f"mlx-lm's converter to GGUF failed: {reason(error)}",
            "export `--to fused`, and convert that with llama.cpp's convert_hf_to_gguf.py",
        ) from error
