"""Of attention and one kind of feed-forward layer."""

from typing import Any

from tests.architectures.parts import (
    ALTERNATING,
    GEMMA3,
    GEMMA4,
    GLOBAL,
    LATENT,
    LOCAL,
    LOCAL_FIRST,
    MINISTRAL,
    MULTIPLIERS,
    WINDOW,
)

DENSE: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama+sliding": ALTERNATING,
    "ministral3": MINISTRAL,
    "gemma": {},
    "gemma2": {"query_pre_attn_scalar": 8.0, "attn_logit_softcapping": 2.0},
    "gemma3_text": GEMMA3,
    "gemma4_text": GEMMA4,
    "gemma4_text+per_layer_inputs": GEMMA4 | {"hidden_size_per_layer_input": 8},
    "gemma4_text+shared": GEMMA4 | {"num_kv_shared_layers": 2},
    "qwen": {"kv_channels": 8, "num_key_value_heads": 4},
    "qwen2": {},
    "qwen3": {},
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": {"partial_rotary_factor": 0.5},
    "smollm3": {"no_rope_layer_interval": 2},
    "granite": MULTIPLIERS,
    "starcoder2": {},
    "glm": {},
    "glm4": {"partial_rotary_factor": 0.5},
    "exaone": {"num_layers": 4},
    "exaone4": {
        "rope_scaling": None,
        "sliding_window": WINDOW,
        "sliding_window_pattern": "LGLG",
    },
    "olmo2": {},
    "olmo3": LOCAL_FIRST,
    "cohere": {"use_qk_norm": True},
    "cohere2": {"sliding_window": WINDOW, "sliding_window_pattern": 2},
    "stablelm": {"use_qkv_bias": True, "partial_rotary_factor": 0.5, "qk_layernorm": True},
    "internlm2": {},
    "internlm3": {},
    "minicpm": {"dim_model_base": 16, "scale_depth": 1.4, "scale_emb": 12.0},
    "minicpm3": LATENT
    | {
        "dim_model_base": 16,
        "scale_depth": 1.4,
        "scale_emb": 12.0,
        "rope_scaling": {"short_factor": [1.0] * 2, "long_factor": [1.0, 2.0]},
    },
    "helium": {},
    "hunyuan_v1_dense": {"rope_scaling": {"type": "dynamic", "factor": 1.0, "alpha": 2.0}},
    "seed_oss": {"attention_bias": True},
    "ernie4_5": {"use_bias": False},
    "nemotron": {"hidden_act": "relu2"},
    "nemotron-nas": {
        "block_configs": [
            {
                "attention": {"n_heads_in_group": 2, "no_op": index == 2},
                "ffn": {"ffn_mult": 1.5, "no_op": index == 1},
            }
            for index in range(4)
        ]
    },
    "apertus": {"post_norm": False, "qk_norm": True},
    "afm7": {
        "hidden_dim": 32,
        "num_layers": 4,
        "num_kv_reuse_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
    },
    "lille-130m": {
        "block_size": 512,
        "n_embd": 64,
        "n_head": 4,
        "n_kv_heads": 2,
        "n_layer": 4,
    },
    "mimo": {"num_nextn_predict_layers": 0},
    "nanochat": {},
    "gpt2": {"n_ctx": 512, "n_embd": 32, "n_head": 4, "n_layer": 4, "n_positions": 512},
    "gpt_neox": {"rotary_emb_base": 10000, "rotary_pct": 0.5, "num_key_value_heads": 4},
    "gptj": {"n_embd": 32, "n_head": 4, "n_layer": 4, "n_positions": 512, "rotary_dim": 4},
    "gpt_bigcode": {
        "n_embd": 32,
        "n_head": 4,
        "n_layer": 4,
        "n_positions": 512,
        "n_inner": 48,
        "num_key_value_heads": 1,
    },
    "llama4_text": {
        "intermediate_size_mlp": 48,
        "no_rope_layers": [1, 1, 1, 0],
        "use_qk_norm": True,
    },
    "telechat3": {},
    "talkie": {},
    "youtu_llm": LATENT,
    "plamo": {"n_shared_head": 2},
    "plamo3": {"window_size": WINDOW, "sliding_window_pattern": 2},
    "muse_glimmer": LOCAL_FIRST,
    "nanbeige": {"num_loops": 2},
    "iquestloopcoder": {"loop_num": 2, "loop_window_size": WINDOW},
    "spark2_5": LOCAL_FIRST
    | {
        "rope_parameters": {
            kind: {"rope_theta": 1e4, "rope_type": "default"} for kind in (LOCAL, GLOBAL)
        }
    },
    "gear+capped": {
        "layer_types": [GLOBAL, LOCAL, LOCAL, GLOBAL],
        "sliding_window": WINDOW,
        "attn_logit_softcapping": 2.0,
    },
    "openelm": {
        "num_transformer_layers": 4,
        "model_dim": 32,
        "ffn_dim_divisor": 8,
        "num_query_heads": [4, 4, 2, 4],
        "num_kv_heads": [2, 1, 2, 4],
        "ffn_multipliers": [1.0, 1.5, 2.0, 1.0],
    },
    "bitnet": {},
    "phi3small": {
        "dense_attention_every_n_layers": 2,
        "ff_intermediate_size": 48,
        "gegelu_limit": 20.0,
        "blocksparse_block_size": 32,
        "blocksparse_num_local_blocks": 1,
    },
}
