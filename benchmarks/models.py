"""Write a small random model to a directory, for measurements: no download, real loading code.

    python benchmarks/models.py B /tmp/B

A: 6 layers, large vocabulary: the output projection weighs most. B: Mistral's proportions at 1/8.
A2: model A with 2 layers of 2 heads, for very long episodes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models import llama

COMMON = {
    "model_type": "llama",
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
MODELS: dict[str, dict[str, Any]] = {
    "A": {
        "num_hidden_layers": 6,
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 32000,
    },
    "B": {
        "num_hidden_layers": 16,
        "hidden_size": 512,
        "intermediate_size": 1792,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "vocab_size": 4096,
    },
}
MODELS["A2"] = MODELS["A"] | {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


def write_model(name: str, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` of a random float32 model."""
    config = COMMON | MODELS[name]
    mx.random.seed(0)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    write_model(arguments.name, arguments.folder)
