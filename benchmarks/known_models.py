"""Forecast the memory of a step and of a validation on well-known models.

    python benchmarks/known_models.py

Prints the tables of docs/long-context.md, from published sizes. Nothing is loaded or downloaded.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from yofo_mlx.planning.evaluation import Asked, plan_validation
from yofo_mlx.planning.planner import Planner
from yofo_mlx.planning.sizes import Sizes, Tensor, sizes_of
from yofo_mlx.planning.step_memory import StepLoad, resident_bytes
from yofo_mlx.recipe.schema import Lora, Memory

LENGTHS = (16384, 32768, 65536, 131072)
TARGET_SHARE = 16
QUERIES, QUERY, ANSWER = 16, 256, 16  # of a validation; the latter two in tokens
LIMITS_GB = (0, 24, 48, 96)  # 0: as thin as it gets
EIGHT_B = {  # what both are made of
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
MODELS: dict[str, tuple[int, dict[str, Any]]] = {  # bits, configuration
    "Mistral-7B v0.3, 4 bit": (4, EIGHT_B | {"model_type": "mistral", "vocab_size": 32768}),
    "Llama-3-8B": (16, EIGHT_B | {"model_type": "llama", "vocab_size": 128256}),
    "Qwen3-8B": (
        16,
        {
            "model_type": "qwen3",
            "hidden_size": 4096,
            "intermediate_size": 12288,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151936,
        },
    ),
    "Gemma-3-4B": (
        16,
        {
            "model_type": "gemma3_text",
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "num_hidden_layers": 34,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "vocab_size": 262208,
            "tie_word_embeddings": True,
            "sliding_window": 1024,
            "sliding_window_pattern": 6,
        },
    ),
}


def tensors_of(config: dict[str, Any], bits: int) -> dict[str, Tensor]:
    """Return the tensors of a llama-like model of these sizes, as a file would list them."""
    hidden, units = config["hidden_size"], config["intermediate_size"]
    width, narrow = (
        config[name] * config["head_dim"] for name in ("num_attention_heads", "num_key_value_heads")
    )
    linears = {
        "self_attn.q_proj": (width, hidden),
        "self_attn.k_proj": (narrow, hidden),
        "self_attn.v_proj": (narrow, hidden),
        "self_attn.o_proj": (hidden, width),
        "mlp.gate_proj": (units, hidden),
        "mlp.up_proj": (units, hidden),
        "mlp.down_proj": (hidden, units),
    }
    shapes = {
        f"model.layers.{layer}.{name}": shape
        for layer in range(config["num_hidden_layers"])
        for name, shape in linears.items()
    }
    shapes["model.embed_tokens"] = (config["vocab_size"], hidden)
    if not config.get("tie_word_embeddings"):
        shapes["lm_head"] = (config["vocab_size"], hidden)
    tensors: dict[str, Tensor] = {"model.norm.weight": Tensor("BF16", (hidden,))}
    for name, (outputs, inputs) in shapes.items():
        if bits == 16:
            tensors[f"{name}.weight"] = Tensor("BF16", (outputs, inputs))
        else:
            tensors[f"{name}.weight"] = Tensor("U32", (outputs, inputs * bits // 32))
            for part in ("scales", "biases"):
                tensors[f"{name}.{part}"] = Tensor("BF16", (outputs, inputs // 64))
    return tensors


def known_shape(name: str) -> Sizes:
    """Return the sizes of a model of the table."""
    bits, config = MODELS[name]
    quantized = {"quantization": {"bits": bits, "group_size": 64}} if bits < 16 else {}
    tensors = tensors_of(config, bits)
    return sizes_of(config | quantized, tensors, Lora(), item=None)


def cell(shape: Sizes, tokens: int, limit_gb: int) -> str:
    """Return the forecast of the fastest step below a limit: GB in all (chunk, stash)."""
    planner = Planner(shape, Memory(), int(limit_gb * 1e9), native=True)
    way = planner.plan(StepLoad(1, tokens, tokens // TARGET_SHARE))
    if limit_gb and not planner.fits(way):
        return "does not fit"
    dials = f"{way.dials.chunk}, {way.dials.stash}" if way.dials else "plain"
    return f"{(resident_bytes(shape) + way.total) / 1e9:.1f} ({dials})"


def validation_cell(shape: Sizes, tokens: int, limit_gb: int) -> str:
    """Return the forecast of a validation below a limit: GB in all (queries at once)."""
    planner = Planner(shape, Memory(), int(limit_gb * 1e9), native=True)
    queries = 1 if not limit_gb else QUERIES
    planner = planner if limit_gb else replace(planner, limit=10**15)
    plan = plan_validation(planner, Asked(tokens - QUERY, queries, QUERY, ANSWER))
    if plan.is_shortened:
        return f"{plan.max_tokens // 1024}k at most"
    return f"{plan.peak / 1e9:.1f} ({plan.copies})"


def table(thinnest: str, cell_of: Callable[[Sizes, int, int], str]) -> None:
    heads = [thinnest, *(f"{limit} GB" for limit in LIMITS_GB[1:])]
    print(f"| model | tokens | {' | '.join(heads)} |")
    print("|---|--:|" + "--:|" * len(heads))
    for name in MODELS:
        shape = known_shape(name)
        for tokens in LENGTHS:
            cells = " | ".join(cell_of(shape, tokens, limit) for limit in LIMITS_GB)
            words = f"{name} ({shape.weight_bytes / 1e9:.1f} GB)"
            print(f"| {words} | {tokens // 1024}k | {cells} |")


def main() -> None:
    table("thinnest", cell)
    print()
    table("one query", validation_cell)


if __name__ == "__main__":
    main()
