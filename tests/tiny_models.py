"""Tiny random models of the architectures that mlx-lm ships."""

import importlib
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map

VOCABULARY = 97
WINDOW = 16
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": VOCABULARY,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "rms_norm_eps": 1e-5,
    "layer_norm_eps": 1e-5,
    "layer_norm_epsilon": 1e-5,
    "norm_eps": 1e-5,
}
EXPERTS: dict[str, Any] = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "num_shared_experts": 1,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "shared_intermediate_size": 16,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.5,
    "n_group": 1,
    "topk_group": 1,
}
LATENT = {  # multi-head latent attention
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
GATED_DELTA = {
    "num_hidden_layers": 4,
    "full_attention_interval": 2,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}
MAMBA = {
    "mamba_n_heads": 4,
    "mamba_num_heads": 4,
    "mamba_d_head": 16,
    "mamba_head_dim": 16,
    "mamba_d_ssm": 64,
    "mamba_d_state": 8,
    "ssm_state_size": 8,
    "mamba_d_conv": 4,
    "conv_kernel": 4,
    "mamba_expand": 2,
    "mamba_n_groups": 2,
    "n_groups": 2,
    "mamba_proj_bias": False,
    "mamba_conv_bias": True,
    "use_bias": False,
    "use_conv_bias": True,
}
MULTIPLIERS = {
    "logits_scaling": 2.0,
    "attention_multiplier": 0.3,
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.5,
}
MISTRAL_ROPE = {
    "rope_theta": 10000.0,
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "llama_4_scaling_beta": 0.1,
}
LOCAL, GLOBAL = "sliding_attention", "full_attention"
ALTERNATING = {"layer_types": [LOCAL, GLOBAL, LOCAL, GLOBAL], "sliding_window": WINDOW}
LOCAL_FIRST = {"layer_types": [LOCAL, LOCAL, LOCAL, GLOBAL], "sliding_window": WINDOW}

MINISTRAL = {"model_type": "ministral3", "rope_parameters": MISTRAL_ROPE} | ALTERNATING
GEMMA3 = {
    "query_pre_attn_scalar": 8.0,
    "sliding_window": WINDOW,
    "sliding_window_pattern": 2,
}
GEMMA4 = {
    "global_head_dim": 16,
    "num_global_key_value_heads": 1,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 0,
    "num_kv_shared_layers": 0,
    "use_double_wide_mlp": False,
} | ALTERNATING
GEMMA3N = (
    SHAPE
    | ALTERNATING
    | {
        "model_type": "gemma3n_text",
        "num_kv_shared_layers": 0,
        "vocab_size_per_layer_input": VOCABULARY,
        "rope_local_base_freq": 10000.0,
        "final_logit_softcapping": 30.0,
        "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
        "hidden_size_per_layer_input": 8,
        "altup_num_inputs": 2,
        "altup_coef_clip": 120.0,
        "altup_correct_scale": True,
        "altup_active_idx": 0,
        "laurel_rank": 8,
    }
)
KIMI_LINEAR: dict[str, Any] = (
    EXPERTS
    | LATENT
    | {
        "model_max_length": 512,
        "num_experts_per_token": 2,
        "linear_attn_config": {
            "kda_layers": [1, 3],
            "num_heads": 4,
            "head_dim": 32,
            "short_conv_kernel_size": 4,
        },
    }
)
LFM2: dict[str, Any] = {
    "layer_types": ["conv", GLOBAL, "conv", GLOBAL],
    "conv_bias": False,
    "conv_L_cache": 3,
    "block_dim": 32,
    "block_multiple_of": 8,
    "block_ffn_dim_multiplier": 1.0,
    "block_auto_adjust_ff_dim": False,
}
LONGCAT: dict[str, Any] = LATENT | {
    "attention_method": "MLA",
    "zero_expert_type": "identity",
    "ffn_hidden_size": 48,
    "moe_topk": 2,
    "expert_ffn_hidden_size": 16,
    "n_routed_experts": 4,
    "zero_expert_num": 1,
    "num_layers": 2,
    "routed_scaling_factor": 1.5,
    "mla_scale_q_lora": True,
    "mla_scale_kv_lora": True,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama+sliding": ALTERNATING,
    "ministral3": MINISTRAL,
    "mistral3": {"text_config": SHAPE | MINISTRAL},
    "mistral4": EXPERTS
    | LATENT
    | {"rope_parameters": MISTRAL_ROPE | {"mscale": 1.0, "mscale_all_dim": 1.0}},
    "gemma": {},
    "gemma2": {"query_pre_attn_scalar": 8.0, "attn_logit_softcapping": 2.0},
    "gemma3_text": GEMMA3,
    "gemma3": {"text_config": SHAPE | GEMMA3 | {"model_type": "gemma3_text"}},
    "gemma4_text": GEMMA4,
    "gemma4_text+per_layer_inputs": GEMMA4 | {"hidden_size_per_layer_input": 8},
    "gemma4_text+experts": GEMMA4
    | {
        "enable_moe_block": True,
        "num_experts": 4,
        "top_k_experts": 2,
        "moe_intermediate_size": 16,
        "attention_k_eq_v": True,
    },
    "gemma4_text+shared": GEMMA4 | {"num_kv_shared_layers": 2},
    "gemma4": {"text_config": SHAPE | GEMMA4 | {"model_type": "gemma4_text"}},
    "gemma3n": {"text_config": GEMMA3N},
    "gemma3n+shared": {"text_config": GEMMA3N | {"num_kv_shared_layers": 2}},
    "qwen": {"kv_channels": 8, "num_key_value_heads": 4},
    "qwen2": {},
    "qwen3": {},
    "qwen2_moe": EXPERTS,
    "qwen3_moe": EXPERTS,
    "mixtral": EXPERTS,
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": {"partial_rotary_factor": 0.5},
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
    "smollm3": {"no_rope_layer_interval": 2},
    "granite": MULTIPLIERS,
    "granitemoe": MULTIPLIERS | EXPERTS,
    "starcoder2": {},
    "glm": {},
    "glm4": {"partial_rotary_factor": 0.5},
    "glm4_moe": EXPERTS | {"use_qk_norm": True, "partial_rotary_factor": 0.5, "rope_scaling": None},
    "glm4_moe_lite": EXPERTS | LATENT,
    "exaone": {"num_layers": 4},
    "exaone4": {
        "rope_scaling": None,
        "sliding_window": WINDOW,
        "sliding_window_pattern": "LGLG",
    },
    "exaone_moe": EXPERTS | ALTERNATING | {"is_moe_layer": [False, True, True, True]},
    "gpt_oss": EXPERTS | ALTERNATING,
    "olmo2": {},
    "olmo3": LOCAL_FIRST,
    "olmoe": EXPERTS,
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
    "hunyuan_v1_dense": {"rope_scaling": {"type": "dynamic", "factor": 1.0, "alpha": 2.0}},
    "seed_oss": {"attention_bias": True},
    "ernie4_5": {"use_bias": False},
    "ernie4_5_moe": {
        "use_bias": False,
        "moe_num_experts": 4,
        "moe_k": 2,
        "moe_intermediate_size": 16,
        "moe_num_shared_experts": 1,
        "moe_layer_start_index": 1,
    },
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
    "deepseek": EXPERTS,
    "deepseek_v2": EXPERTS | LATENT | {"topk_method": "greedy", "rope_scaling": MISTRAL_ROPE},
    "deepseek_v3": EXPERTS | LATENT,
    "deepseek_v32": EXPERTS | LATENT | {"index_head_dim": 8, "index_n_heads": 2, "index_topk": 8},
    "apertus": {"post_norm": False, "qk_norm": True},
    "afm7": {
        "hidden_dim": 32,
        "num_layers": 4,
        "num_kv_reuse_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
    },
    "afmoe": EXPERTS | ALTERNATING | {"num_dense_layers": 1},
    "lille-130m": {
        "block_size": 512,
        "n_embd": 64,
        "n_head": 4,
        "n_kv_heads": 2,
        "n_layer": 4,
    },
    "mimo": {"num_nextn_predict_layers": 0},
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
    "qwen2_vl": {},
    "qwen3_vl": {},
    "qwen3_vl_moe": {"text_config": SHAPE | EXPERTS | {"model_type": "qwen3_moe"}},
    "pixtral": {"text_config": SHAPE | {"model_type": "llama"}},
    "kimi_vl": {"text_config": SHAPE | EXPERTS | LATENT | {"model_type": "deepseek_v3"}},
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
    "llama4": {
        "text_config": SHAPE
        | EXPERTS
        | {
            "model_type": "llama4_text",
            "attention_chunk_size": WINDOW,
            "num_experts_per_tok": 1,
            "interleave_moe_layer_step": 2,
            "intermediate_size_mlp": 48,
            "rope_scaling": None,
            "use_qk_norm": True,
        }
    },
    "llama4_text": {
        "intermediate_size_mlp": 48,
        "no_rope_layers": [1, 1, 1, 0],
        "use_qk_norm": True,
    },
    "bailing_moe": EXPERTS,
    "baichuan_m1": {
        "tie_word_embeddings": False,
        "sliding_window": WINDOW,
        "sliding_window_layers": [1, 3],
        "conv_window": 2,
    },
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
    "telechat3": {},
    "talkie": {},
    "youtu_llm": LATENT,
    "plamo": {"n_shared_head": 2},
    "plamo3": {"window_size": WINDOW, "sliding_window_pattern": 2},
    "olmo_hybrid": GATED_DELTA
    | {
        "layer_types": ["linear_attention", GLOBAL] * 2,
        "linear_num_key_heads": 4,
        "linear_allow_neg_eigval": True,
    },
    "muse_glimmer": LOCAL_FIRST,
    "minimax": EXPERTS | {"rotary_dim": 4},
    "nanbeige": {"num_loops": 2},
    "laguna": EXPERTS
    | ALTERNATING
    | {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in (LOCAL, GLOBAL)
        }
    },
    "iquestloopcoder": {"loop_num": 2, "loop_window_size": WINDOW},
    "longcat_flash": LONGCAT,
    "spark2_5": LOCAL_FIRST
    | {
        "rope_parameters": {
            kind: {"rope_theta": 1e4, "rope_type": "default"} for kind in (LOCAL, GLOBAL)
        }
    },
    "gear": {"layer_types": ["conv_mixer", LOCAL, "conv_mixer", GLOBAL], "sliding_window": WINDOW},
    "gear+capped": {
        "layer_types": [GLOBAL, LOCAL, LOCAL, GLOBAL],
        "sliding_window": WINDOW,
        "attn_logit_softcapping": 2.0,
    },
    "rwkv7": {
        "a_low_rank_dim": 8,
        "v_low_rank_dim": 8,
        "gate_low_rank_dim": 8,
        "decay_low_rank_dim": 8,
    },
    "openelm": {
        "num_transformer_layers": 4,
        "model_dim": 32,
        "ffn_dim_divisor": 8,
        "num_query_heads": [4, 4, 2, 4],
        "num_kv_heads": [2, 1, 2, 4],
        "ffn_multipliers": [1.0, 1.5, 2.0, 1.0],
    },
    "step3p5": ALTERNATING
    | {
        "num_attention_groups": 2,
        "moe_num_experts": 4,
        "moe_top_k": 2,
        "moe_intermediate_size": 16,
        "share_expert_dim": 16,
        "moe_layers_enum": "1,2,3",
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
    "bitnet": {},
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
    "kimi_k25": {"text_config": SHAPE | EXPERTS | LATENT | {"model_type": "deepseek_v3"}},
    "kimi_k3": {"text_config": SHAPE | KIMI_LINEAR},
    "kimi_k3+residuals": {"text_config": SHAPE | KIMI_LINEAR | {"attn_res_block_size": 2}},
    "lfm2-vl": {"text_config": SHAPE | LFM2 | {"model_type": "lfm2"}},
    "longcat_flash_ngram": LONGCAT
    | {"ngram_vocab_size_ratio": 2, "emb_neighbor_num": 3, "emb_split_num": 2},
    "minimax_m3_vl": {
        "text_config": SHAPE
        | EXPERTS
        | {
            "dense_intermediate_size": 48,
            "rotary_dim": 4,
            "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
            "layer_types": ["full_attention"] * 4,
        }
    },
    "minimax_m3_vl+sparse": {
        "text_config": SHAPE
        | EXPERTS
        | {
            "dense_intermediate_size": 48,
            "rotary_dim": 4,
            "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
            "layer_types": ["full_attention", "minimax_m3_sparse"] * 2,
            "index_n_heads": 2,
            "index_head_dim": 8,
            "index_block_size": 4,
            "index_topk_blocks": 3,
        }
    },
    "phi3small": {
        "dense_attention_every_n_layers": 2,
        "ff_intermediate_size": 48,
        "gegelu_limit": 20.0,
        "blocksparse_block_size": 32,
        "blocksparse_num_local_blocks": 1,
    },
    "recurrent_gemma": {
        "conv1d_width": 4,
        "logits_soft_cap": 30.0,
        "attention_window_size": WINDOW,
        "num_key_value_heads": 1,
        "block_types": ["recurrent", "attention", "recurrent", "attention"],
    },
}


def tiny_model(name: str, **others: Any) -> Any:
    """Return a model of CONFIGS: float32, seeded, and no parameter without randomness.

    `others` are values of its configuration that differ.
    """
    model_type = name.split("+")[0]
    module = importlib.import_module(f"mlx_lm.models.{model_type}")
    config = SHAPE | {"model_type": model_type} | CONFIGS[name] | others
    mx.random.seed(0)
    model = module.Model(module.ModelArgs.from_dict(config))
    model.set_dtype(mx.float32)
    model.update(tree_map(_random_if_constant, model.parameters()))
    mx.eval(model.parameters())
    return model


def _random_if_constant(array: mx.array) -> mx.array:
    """Return something else for biases, sinks and norms, which begin as zeros or ones."""
    if not mx.issubdtype(array.dtype, mx.floating) or (array != array.reshape(-1)[0]).any().item():
        return array
    return array + mx.random.normal(array.shape) * 0.1
