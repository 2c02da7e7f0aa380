"""With layers that hand a state from token to token, by themselves or among others."""

from typing import Any

from tests.architectures.parts import (
    EXPERTS,
    GATED_DELTA,
    GLOBAL,
    KIMI_LINEAR,
    LATENT,
    LFM2,
    LOCAL,
    MAMBA,
    MULTIPLIERS,
    WINDOW,
)

STATEFUL: dict[str, dict[str, Any]] = {
    "qwen3_5": GATED_DELTA,
    "qwen3_5_moe": GATED_DELTA | EXPERTS,
    "qwen3_next": GATED_DELTA | EXPERTS | {"partial_rotary_factor": 0.5},
    "lfm2": LFM2,
    "lfm2_moe": EXPERTS
    | {
        "layer_types": ["conv", GLOBAL, "conv", GLOBAL],
        "conv_bias": False,
        "conv_L_cache": 3,
        "use_expert_bias": True,
        "num_dense_layers": 1,
    },
    "granitemoehybrid": MULTIPLIERS
    | EXPERTS
    | MAMBA
    | {"layer_types": ["mamba", "attention", "mamba", "attention"]},
    "falcon_h1": MAMBA,
    "bailing_hybrid": EXPERTS
    | LATENT
    | {"layer_group_size": 2, "group_norm_size": 1, "partial_rotary_factor": 0.5},
    "mamba": MAMBA | {"state_size": 8, "time_step_rank": 4},
    "mamba2": MAMBA
    | {
        "num_heads": 4,
        "head_dim": 16,
        "intermediate_size": 64,
        "state_size": 8,
        "time_step_limit": (0.0, 100.0),
        "time_step_rank": 4,
    },
    "jamba": MAMBA
    | EXPERTS
    | {
        "attn_layer_offset": 1,
        "attn_layer_period": 2,
        "expert_layer_offset": 1,
        "expert_layer_period": 2,
    },
    "nemotron_h": MAMBA | EXPERTS | {"hybrid_override_pattern": ["M", "*", "-", "M"]},
    "nemotron_h+no_mlp": MAMBA | {"hybrid_override_pattern": ["M", "*", "M", "*"]},
    "baichuan_m1": {
        "tie_word_embeddings": False,
        "sliding_window": WINDOW,
        "sliding_window_layers": [1, 3],
        "conv_window": 2,
    },
    "olmo_hybrid": GATED_DELTA
    | {
        "layer_types": ["linear_attention", GLOBAL] * 2,
        "linear_num_key_heads": 4,
        "linear_allow_neg_eigval": True,
    },
    "gear": {"layer_types": ["conv_mixer", LOCAL, "conv_mixer", GLOBAL], "sliding_window": WINDOW},
    "rwkv7": {
        "a_low_rank_dim": 8,
        "v_low_rank_dim": 8,
        "gate_low_rank_dim": 8,
        "decay_low_rank_dim": 8,
    },
    "plamo2": {
        "hidden_size_per_head": 8,
        "attention_window_size": 512,
        "mamba_d_state": 8,
        "mamba_num_heads": 4,
        "mamba_step": 2,
    },
    "kimi_linear": KIMI_LINEAR,
    "bailing_moe_linear": EXPERTS | {"layer_group_size": 2, "group_norm_size": 1},
    "bailing_moe_v3": EXPERTS
    | LATENT
    | {"layer_group_size": 2, "head_dim": 32, "moe_shared_expert_intermediate_size": 16},
    "recurrent_gemma": {
        "conv1d_width": 4,
        "logits_soft_cap": 30.0,
        "attention_window_size": WINDOW,
        "num_key_value_heads": 1,
        "block_types": ["recurrent", "attention", "recurrent", "attention"],
    },
}
