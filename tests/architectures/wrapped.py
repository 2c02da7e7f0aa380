"""With a text model inside."""

from typing import Any

from tests.architectures.parts import (
    EXPERTS,
    GEMMA3,
    GEMMA3N,
    GEMMA4,
    KIMI_LINEAR,
    LATENT,
    LFM2,
    MINISTRAL,
    SHAPE,
    WINDOW,
)

WRAPPED: dict[str, dict[str, Any]] = {
    "mistral3": {"text_config": SHAPE | MINISTRAL},
    "gemma3": {"text_config": SHAPE | GEMMA3 | {"model_type": "gemma3_text"}},
    "gemma4": {"text_config": SHAPE | GEMMA4 | {"model_type": "gemma4_text"}},
    "gemma3n": {"text_config": GEMMA3N},
    "gemma3n+shared": {"text_config": GEMMA3N | {"num_kv_shared_layers": 2}},
    "qwen2_vl": {},
    "qwen3_vl": {},
    "qwen3_vl_moe": {"text_config": SHAPE | EXPERTS | {"model_type": "qwen3_moe"}},
    "pixtral": {"text_config": SHAPE | {"model_type": "llama"}},
    "kimi_vl": {"text_config": SHAPE | EXPERTS | LATENT | {"model_type": "deepseek_v3"}},
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
    "kimi_k25": {"text_config": SHAPE | EXPERTS | LATENT | {"model_type": "deepseek_v3"}},
    "kimi_k3": {"text_config": SHAPE | KIMI_LINEAR},
    "kimi_k3+residuals": {"text_config": SHAPE | KIMI_LINEAR | {"attn_res_block_size": 2}},
    "lfm2-vl": {"text_config": SHAPE | LFM2 | {"model_type": "lfm2"}},
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
}
