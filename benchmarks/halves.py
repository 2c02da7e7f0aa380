"""Forecasts beside measured peaks for models of known shapes, in every type that is computed in.

    python benchmarks/halves.py --table docs/benchmarks/measured.csv
    python benchmarks/halves.py --models mistral-thin --tokens 256

Float32, bfloat16, float16, and bfloat16 beside weights of 4 and 8 bits; whole, in chunks, and
packed in rows. A CPU multiplies matrices of half precision ten times as slowly: minutes.
"""

import argparse
import statistics
from collections.abc import Iterator
from typing import Any

import measurements
from forecast import measured

from yofo_mlx.gradients import Dials

COMMON = {"model_type": "llama", "rms_norm_eps": 1e-5, "rope_theta": 1e6}
MODELS: dict[str, dict[str, Any]] = {
    "tiny": {  # the embedded one
        "num_hidden_layers": 5,
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 1280,
        "tie_word_embeddings": True,
    },
    "135M-shaped": {  # SmolLM2-135M with 3 of its 30 layers and a sixth of its vocabulary
        "num_hidden_layers": 3,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 8192,
        "tie_word_embeddings": True,
    },
    "mistral-thin": {  # Mistral's proportions at 1/16, 8 of its 32 layers
        "num_hidden_layers": 8,
        "hidden_size": 256,
        "intermediate_size": 896,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "vocab_size": 2048,
        "tie_word_embeddings": False,
    },
}
TYPES: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "float16": {"dtype": "float16"},
    "bfloat16, 4 bits": {"dtype": "bfloat16", "bits": 4},
    "bfloat16, 8 bits": {"dtype": "bfloat16", "bits": 8},
}
WAYS: dict[str, dict[str, Any]] = {
    "whole": {"dials": None},
    "packed": {"dials": None, "packed": 128},
    "chunks": {"dials": Dials(128, 2)},
    "packed, chunks": {"dials": Dials(128, 2), "packed": 128},
}
LENGTHS = (512, 1024)
EVERY = 32  # an answer of 2 tokens every so many


def steps(
    models: list[str], types: list[str], lengths: list[int]
) -> Iterator[tuple[str, int, str, float, int]]:
    """Yield model, tokens, type and way, forecast / peak, peak."""
    for name in models:
        for tokens in lengths:
            for kind in types:
                for way, how in WAYS.items():
                    step = {"tokens": tokens, "count": 1, "every": EVERY, **TYPES[kind], **how}
                    peak, expected = measured(COMMON | MODELS[name], **step)
                    yield name, tokens, f"{kind}, {way}", expected() / peak, peak


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=[*MODELS], choices=MODELS)
    parser.add_argument("--types", nargs="+", default=[*TYPES], choices=TYPES)
    parser.add_argument("--tokens", nargs="+", type=int, default=[*LENGTHS])
    measurements.add_option(parser)
    given = parser.parse_args()
    ratios = []
    for name, tokens, how, ratio, peak in steps(given.models, given.types, given.tokens):
        ratios.append(ratio)
        print(f"{ratio:.2f}  {peak / 1e6:7.1f} MB  {name} {tokens}  {how}", flush=True)
        figures = {"forecast / measured peak": ratio, "peak MB": peak / 1e6}
        about = {"method": f"step in {how}", "model": name, "tokens": tokens}
        measurements.keep(given.table, figures, **about)
    near = sum(0.95 <= ratio <= 1.25 for ratio in ratios)
    print(
        f"{near} of {len(ratios)} within 0.95 to 1.25, the middle {statistics.median(ratios):.2f}"
    )
    print(f"from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
