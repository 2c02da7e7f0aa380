"""Are gradients in chunks those of plain autograd on this device? By architecture and type.

    python benchmarks/exactness.py --table measured.csv

Small random models (`yofo_mlx/gradients/exactness.py`); the exit code is 1 if any is not exact.
"""

import argparse
import sys

import measurements

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx

from yofo_mlx.gradients.exactness import small_comparison
from yofo_mlx.recipe.schema import Lora

SHAPE = {
    "num_hidden_layers": 4,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma")
TYPES = ("float32", "bfloat16", "float16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--types", nargs="+", choices=TYPES, default=list(TYPES))
    measurements.add_option(parser)
    options = parser.parse_args()
    wrong = 0
    for name in options.architectures:
        for kind in options.types:
            found = small_comparison(SHAPE | {"model_type": name}, Lora(), getattr(mx, kind))
            figures = {"gradients apart": found.gradients, "loss apart": found.loss}
            measurements.keep(options.table, figures, method=f"chunks in {kind}", model=name)
            word = "exact" if found.is_exact else f"NOT within {found.tolerance:g}"
            print(f"{name:10} {kind:10} {found.gradients:.1e}  {word}", flush=True)
            wrong += not found.is_exact
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
