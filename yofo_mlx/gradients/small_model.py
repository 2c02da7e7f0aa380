"""A small random model of any architecture, made from the configuration of a large one."""

from typing import Any

import mlx.core as mx
from mlx_lm.utils import _get_classes

from yofo_mlx.errors import RunError

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, UNITS, VOCABULARY, WINDOW = 4, 64, 4, 2, 16, 96, 128, 32
SIZES: dict[str, Any] = {
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "intermediate_size": UNITS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "vocab_size": VOCABULARY,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
WHERE_PRESENT: dict[str, Any] = {
    "moe_intermediate_size": UNITS // 2,
    "shared_expert_intermediate_size": UNITS // 2,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "q_lora_rank": 32,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "sliding_window": WINDOW,
    "query_pre_attn_scalar": HEAD_DIM,
    "global_head_dim": HEAD_DIM,
    "hidden_size_per_layer_input": 16,
    "vocab_size_per_layer_input": VOCABULARY,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "block_dim": HIDDEN,
    "block_ff_dim": UNITS,
    "conv_dim": HIDDEN,
}


def small_model(config: dict[str, Any]) -> Any:
    """Return a random float32 model of the configuration's architecture, a few layers thin.

    Raises RunError if the architecture is unknown to mlx-lm or cannot be made this small.
    """
    kind = str(config.get("model_type"))
    try:
        model_class, arguments = _get_classes(small_config(config))
        mx.random.seed(0)
        model = model_class(arguments.from_dict(small_config(config)))
        model.set_dtype(mx.float32)
        mx.eval(model.parameters())
        model(mx.zeros((1, 2), dtype=mx.int32))
    except Exception as error:  # whatever a model's code makes of sizes it was not written for
        raise RunError(
            f"no small model of architecture {kind!r} can be made: {str(error)[:200]}",
            "update mlx-lm if the architecture is new; otherwise this check cannot be made for it",
        ) from error
    return model


def small_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with every size small and everything else as it was."""
    small = {name: value for name, value in config.items() if not _is_for_large(name, value)}
    if isinstance(config.get("text_config"), dict):
        return small | {"text_config": small_config(config["text_config"])}
    small |= SIZES | {name: value for name, value in WHERE_PRESENT.items() if config.get(name)}
    if kinds := config.get("layer_types"):
        small["layer_types"] = _some_of_each(list(kinds))
    if not isinstance(config.get("sliding_window_pattern"), str):
        small["sliding_window_pattern"] = 2  # some architectures have a longer one by default
    for name in ("num_experts_per_tok", "experts_per_token"):
        if config.get(name):
            small[name] = min(config[name], 2)
    for name in ("num_kv_shared_layers", "pad_token_id"):
        if config.get(name):
            small[name] = min(config[name], 1)
    return small


def _is_for_large(name: str, value: Any) -> bool:
    """Tell what does not carry over: quantization, and factors for each rotary frequency."""
    lists = isinstance(value, dict) and any(isinstance(item, list) for item in value.values())
    return name.startswith("quantization") or (name.startswith("rope_") and lists)


def _some_of_each(kinds: list[str]) -> list[str]:
    """Return the kinds of the few layers that are left, each at least once, the last one last."""
    distinct = list(dict.fromkeys(kinds))
    return [distinct[place % len(distinct)] for place in range(LAYERS)]
