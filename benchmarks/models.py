"""Write a small random model to a directory, for measurements: no download, real loading code.

    python benchmarks/models.py B /tmp/B

A: 6 layers, large vocabulary: the output projection weighs most. B: Mistral's proportions at 1/8.
A2: model A with 2 layers of 2 heads, for very long episodes. mistral: Mistral 7B's shape;
`--bits 4` quantises its weights as mlx-lm does. mistral-thin: very small, to try a script with.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
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

MODELS["mistral"] = {
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32768,
}
MODELS["mistral-thin"] = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "intermediate_size": 448,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "vocab_size": 1024,
}
GROUP = 64  # weights that share a scale, mlx-lm's default


def write_model(name: str, folder: Path, bits: int | None = None) -> None:
    """Write `config.json` and `model.safetensors` of a random model: float32, or quantised."""
    config = COMMON | MODELS[name]
    mx.random.seed(0)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    if bits:
        model.set_dtype(mx.bfloat16)  # of what is not quantised: scales, norms
        nn.quantize(model, group_size=GROUP, bits=bits)
        config["quantization"] = {"group_size": GROUP, "bits": bits}
    for layer in model.layers:  # one after the other: the floats of all would be 28 GB
        mx.eval(layer.parameters())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bits", type=int, choices=(4, 8), help="quantise the weights")
    arguments = parser.parse_args()
    write_model(arguments.name, arguments.folder, arguments.bits)
