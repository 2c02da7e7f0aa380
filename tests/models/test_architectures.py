"""The engine drives unmodified mlx-lm models of several families, the recipes' ones among them."""

import importlib
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models.cache import make_prompt_cache

from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.gradients import loss_and_gradients
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.models.layers import StandIn
from yofo_mlx.models.logits import row_logits
from yofo_mlx.recipe.schema import Lora, Objective

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rms_norm_eps": 1e-5,
    "vocab_size": 97,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
MORE: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "phi3": {},
    "gemma": {},
    "gemma2": {"query_pre_attn_scalar": 8.0},
    "gemma3_text": {"sliding_window": 16, "sliding_window_pattern": 2},
    "gemma3": {},
    "mixtral": {"num_local_experts": 2, "num_experts_per_tok": 1},
    "qwen3_moe": {
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "moe_intermediate_size": 16,
        "norm_topk_prob": True,
    },
}


def random_model(model_type: str) -> Any:
    module = importlib.import_module(f"mlx_lm.models.{model_type}")
    config = SHAPE | {"model_type": model_type} | MORE[model_type]
    if model_type == "gemma3":
        text = SHAPE | {"model_type": "gemma3_text"} | MORE["gemma3_text"]
        config = {"model_type": "gemma3", "text_config": text, "vocab_size": 97}
    mx.random.seed(0)
    model = module.Model(module.ModelArgs.from_dict(config))
    model.set_dtype(mx.float32)
    mx.eval(model.parameters())
    return model


@pytest.mark.parametrize("model_type", MORE)
def test_rows_and_gradients_of_an_architecture_are_those_of_the_plain_model(
    model_type: str,
) -> None:
    model = random_model(model_type)
    tokens = np.random.default_rng(0).integers(0, 97, 40).tolist()
    batch = make_batch([Episode("task", tokens, [(5, 8), (20, 21), (36, 40)])], Objective())
    inputs, rows = mx.array(batch.tokens), mx.array(batch.rows)
    full = model(inputs)[0].astype(mx.float32)
    np.testing.assert_allclose(
        np.array(row_logits(model, inputs, rows)), np.array(full[rows]), atol=1e-4
    )
    add_adapter(model, Lora(rank=2))
    loss, gradients = loss_and_gradients(model, batch)
    losses = token_losses(full[rows], mx.array(batch.targets))
    assert loss.item() == pytest.approx((losses * mx.array(batch.weights)).sum().item(), rel=1e-4)
    mx.eval(gradients)


def arrays(cache: list[Any]) -> list[mx.array]:
    return [array for _, array in tree_flatten([layer.state for layer in cache])]


@pytest.mark.parametrize("model_type", MORE)
def test_rows_of_a_text_that_is_read_on_are_the_plain_models_and_so_is_what_is_kept(
    model_type: str,
) -> None:
    model, plain, read = random_model(model_type), [], []
    rows = mx.array([2, 3, 20])
    caches = make_prompt_cache(model), make_prompt_cache(model)
    for length in (7, 21):  # as a chunk of its own, then behind one
        tokens = mx.random.randint(0, 97, (1, length))
        here = mx.minimum(rows, length - 1)
        plain.append(model(tokens, cache=caches[0])[0, here])
        read.append(row_logits(model, tokens, here, caches[1]))
    for expected, found in (
        *zip(plain, read, strict=True),
        *zip(*(arrays(cache) for cache in caches), strict=True),
    ):
        np.testing.assert_allclose(np.array(found), np.array(expected), atol=1e-4)


class Counted(StandIn):
    """A part of a layer that notes how many rows it is given."""

    def __init__(self, part: Any, seen: list[int]) -> None:
        super().__init__(part)
        self._seen = seen

    def __call__(self, x: mx.array) -> Any:
        self._seen.append(x.shape[-2])
        return self._layer(x)


def test_the_last_layer_feeds_forward_only_the_rows_that_are_asked_for() -> None:
    model, seen = random_model("llama"), list[int]()
    for layer in model.layers:
        layer.mlp = Counted(layer.mlp, seen)
    tokens, cache = mx.zeros((1, 30), mx.int32), make_prompt_cache(model)
    row_logits(model, tokens, mx.array([4, 9]), cache)
    assert seen == [30, 30, 2]
