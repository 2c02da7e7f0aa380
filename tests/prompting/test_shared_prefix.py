"""Rows that share a prefix are read as rows that have copies of it, in many architectures."""

import gc
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from tests.tiny_models import tiny_model
from yofo_mlx.models import logits
from yofo_mlx.prompting import shared_prefix
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.shared_prefix import SharedPrefix, lend, shares

FORKED = ("llama", "qwen3", "smollm3", "phi3", "granite", "cohere", "mixtral")
SHARED = ("gemma3_text", "gpt_oss")  # layers with a window are copied
COPIED = ("gemma2",)  # attends by code of its own


def read(model: Any, tokens: list[int]) -> np.ndarray:
    return np.array(model(mx.array([tokens]))[0, -1].astype(mx.float32))


@pytest.mark.parametrize("name", [*FORKED, *SHARED, *COPIED])
def test_rows_behind_one_prefix_are_read_as_whole_prompts(name: str) -> None:
    model = tiny_model(name)
    draw = np.random.default_rng(0)
    prefix, rows = draw.integers(1, 90, 30).tolist(), draw.integers(1, 90, (3, 5))
    context = Context(model)
    context.read(prefix)
    assert context.can_pool() == (name in FORKED)
    with context.aside(3) as lent:
        kinds = {type(layer) for layer in lent.layers}
        assert (SharedPrefix in kinds) == (name not in COPIED)
        found = np.array(lent.logits(mx.array(rows[:, :3]), mx.array([2, 5, 8])))
        more = np.array(lent.logits(mx.array(rows[:, 3:]), mx.array([1, 3, 5])))
        for row, tokens in enumerate(rows.tolist()):
            whole = read(model, prefix + tokens[:3])
            np.testing.assert_allclose(found[row], whole, atol=1e-3)
            np.testing.assert_allclose(more[row], read(model, prefix + tokens), atol=1e-3)


def test_a_shared_prefix_is_not_copied() -> None:
    context = Context(tiny_model("llama"))
    context.read(list(range(1, 90)))
    lent = lend(context.layers, 50, shared=True)
    assert sum(layer.nbytes for layer in lent) == 0


def test_a_model_that_does_something_else_with_keys_is_known_to_share_nothing() -> None:
    assert shares(tiny_model("llama")) and not shares(tiny_model("gemma2"))


def test_a_model_is_tried_once_and_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def row_logits(model: Any, *rest: Any) -> mx.array:
        tried.append(id(model))
        return logits.row_logits(model, *rest)

    monkeypatch.setattr(shared_prefix, "row_logits", row_logits)
    model = tiny_model("llama")
    assert shares(model)
    passes = len(tried)
    assert shares(model) and len(tried) == passes > 0
    del model
    gc.collect()
    assert not {*tried} & {*shared_prefix._tried}
