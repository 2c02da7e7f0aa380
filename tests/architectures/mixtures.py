"""With layers of several experts."""

from typing import Any

from tests.architectures.parts import (
    ALTERNATING,
    EXPERTS,
    GEMMA4,
    GLOBAL,
    LATENT,
    LOCAL,
    LONGCAT,
    MISTRAL_ROPE,
    MULTIPLIERS,
    VOCABULARY,
    WINDOW,
)

MIXTURES: dict[str, dict[str, Any]] = {
    "mistral4": EXPERTS
    | LATENT
    | {"rope_parameters": MISTRAL_ROPE | {"mscale": 1.0, "mscale_all_dim": 1.0}},
    "gemma4_text+experts": GEMMA4
    | {
        "enable_moe_block": True,
        "num_experts": 4,
        "top_k_experts": 2,
        "moe_intermediate_size": 16,
        "attention_k_eq_v": True,
    },
    "qwen2_moe": EXPERTS,
    "qwen3_moe": EXPERTS,
    "mixtral": EXPERTS,
    "phimoe": EXPERTS
    | {
        "router_jitter_noise": 0.5,
        "original_max_position_embeddings": 16,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0] * 4,
            "long_factor": [1.0, 2.0, 3.0, 4.0],
            "short_mscale": 1.0,
            "long_mscale": 1.1,
            "original_max_position_embeddings": 16,
        },
    },
    "phixtral": EXPERTS
    | {"num_vocab": VOCABULARY, "model_dim": 32, "num_heads": 4, "num_layers": 4, "rotary_dim": 4},
    "granitemoe": MULTIPLIERS | EXPERTS,
    "glm4_moe": EXPERTS | {"use_qk_norm": True, "partial_rotary_factor": 0.5, "rope_scaling": None},
    "glm4_moe_lite": EXPERTS | LATENT,
    "exaone_moe": EXPERTS | ALTERNATING | {"is_moe_layer": [False, True, True, True]},
    "gpt_oss": EXPERTS | ALTERNATING,
    "olmoe": EXPERTS,
    "hunyuan": EXPERTS
    | {
        "num_shared_expert": 1,
        "moe_topk": 2,
        "use_mixed_mlp_moe": True,
        "use_qk_norm": True,
        "use_cla": False,
        "cla_share_factor": 2,
        "rope_scaling": {"type": "dynamic", "factor": 1.0, "alpha": 2.0},
    },
    "hunyuan+shared": EXPERTS
    | {
        "num_shared_expert": 1,
        "moe_topk": 2,
        "use_mixed_mlp_moe": True,
        "use_qk_norm": True,
        "use_cla": True,
        "cla_share_factor": 2,
        "rope_scaling": {"type": "dynamic", "factor": 1.0, "alpha": 2.0},
    },
    "ernie4_5_moe": {
        "use_bias": False,
        "moe_num_experts": 4,
        "moe_k": 2,
        "moe_intermediate_size": 16,
        "moe_num_shared_experts": 1,
        "moe_layer_start_index": 1,
    },
    "deepseek": EXPERTS,
    "deepseek_v2": EXPERTS | LATENT | {"topk_method": "greedy", "rope_scaling": MISTRAL_ROPE},
    "deepseek_v3": EXPERTS | LATENT,
    "deepseek_v32": EXPERTS | LATENT | {"index_head_dim": 8, "index_n_heads": 2, "index_topk": 8},
    "afmoe": EXPERTS | ALTERNATING | {"num_dense_layers": 1},
    "mimo_v2_flash": EXPERTS
    | {
        "hybrid_layer_pattern": [0, 1, 0, 1],
        "moe_layer_freq": [0, 1, 1, 1],
        "add_swa_attention_sink_bias": True,
        "add_full_attention_sink_bias": False,
        "sliding_window_size": WINDOW,
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "layernorm_epsilon": 1e-5,
        "swa_rope_theta": 10000.0,
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "v_head_dim": 6,
        "swa_head_dim": 8,
        "swa_v_head_dim": 6,
        "partial_rotary_factor": 0.5,
        "attention_value_scale": 0.7,
    },
    "bailing_moe": EXPERTS,
    "dbrx": {
        "d_model": 32,
        "n_layers": 4,
        "n_heads": 4,
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "dots1": EXPERTS | {"scoring_func": "noaux_tc"},
    "Klear": EXPERTS,
    "mellum": EXPERTS
    | ALTERNATING
    | {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in (LOCAL, GLOBAL)
        }
    },
    "solar_open": EXPERTS | {"partial_rotary_factor": 0.5},
    "minimax": EXPERTS | {"rotary_dim": 4},
    "laguna": EXPERTS
    | ALTERNATING
    | {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in (LOCAL, GLOBAL)
        }
    },
    "longcat_flash": LONGCAT,
    "step3p5": ALTERNATING
    | {
        "num_attention_groups": 2,
        "moe_num_experts": 4,
        "moe_top_k": 2,
        "moe_intermediate_size": 16,
        "share_expert_dim": 16,
        "moe_layers_enum": "1,2,3",
    },
    "deepseek_v41": EXPERTS
    | {
        "head_dim": 32,
        "q_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "o_groups": 2,
        "o_lora_rank": 8,
        "sliding_window": WINDOW,
        "hc_mult": 2,
    },
    "glm_moe_dsa": EXPERTS
    | LATENT
    | {
        "index_head_dim": 8,
        "index_n_heads": 2,
        "index_topk": 8,
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "moe_layer_freq": 1,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
    },
    "longcat_flash_ngram": LONGCAT
    | {"ngram_vocab_size_ratio": 2, "emb_neighbor_num": 3, "emb_split_num": 2},
}
