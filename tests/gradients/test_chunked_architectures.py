"""Training in chunks gives every parameter the gradient that the unmodified model gives it."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx_lm.models
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models.cache import make_prompt_cache

from tests.architectures.parts import VOCABULARY
from tests.places import ROOT
from tests.tiny_models import CONFIGS, tiny_model
from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import RunError
from yofo_mlx.gradients import Dials, attention, loss_and_gradients
from yofo_mlx.gradients.layer_cache import KeyValues, Latents
from yofo_mlx.gradients.survey import Survey
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.recipe.schema import Lora, Objective

REFUSED = {
    "iquestloopcoder": "it runs the parts of its layers itself",
    "phi3small": "mlx-lm aligns its block mask to the end of a call, and not causally",
}
WITHOUT_ADAPTER = {
    "bitnet": "mlx-lm has no adapter for any of its layers",
    "recurrent_gemma": "mlx-lm's class for it cannot be frozen",
    "deepseek_v41": "mlx-lm's choice of its experts and its keys of 8 bits have no gradient",
}
# Needs Metal; a package that is not there; a certain quantized file.
NOT_TRIED = {"muse_spark", "olmo", "prism_hadamard_qwen35"}
MORE_DIALS = [
    "mistral3",
    "mistral4",
    "gpt_oss",
    "deepseek_v3",
    "qwen3_5",
    "lfm2",
    "gemma3n+shared",
    "longcat_flash_ngram",
]
EXACT = [name for name in CONFIGS if name not in REFUSED | WITHOUT_ADAPTER]
RARE = [  # each is of a family that the others show
    "afm7",
    "baichuan_m1",
    "bailing_moe_v3",
    "deepseek_v32",
    "gear+capped",
    "glm_moe_dsa",
    "kimi_k25",
    "kimi_k3",
    "kimi_k3+residuals",
    "kimi_vl",
    "lfm2-vl",
    "longcat_flash",
    "minimax_m3_vl",
    "minimax_m3_vl+sparse",
    "pixtral",
    "qwen2_vl",
    "qwen3_vl_moe",
    "rwkv7",
    "talkie",
]


def marked(name: str, dials: Dials | None) -> Any:
    """Return a case, for `make long` where another one shows as much.

    The plain way asks for the rows of targets only; test_architectures.py has it of ten families.
    """
    seldom = dials != Dials(11, 2) and name not in MORE_DIALS  # 11 is no window's length
    seldom = seldom or (dials == Dials(1, 2) and name != "qwen3_5")
    return pytest.param(name, dials, marks=[pytest.mark.long] * (seldom or name in RARE))


CASES = [
    *(marked(name, dials) for name in EXACT for dials in (None, Dials(11, 2), Dials(16, 3))),
    *(marked(name, dials) for name in MORE_DIALS for dials in (Dials(64, 1), Dials(1, 2))),
]


def two_episodes() -> Batch:
    """Return episodes of 50 and 37 tokens with answers inside, at and across borders of chunks."""
    draw = np.random.default_rng(0)
    answers = [(5, 8), (15, 18), (21, 22)]
    return make_batch(
        [
            Episode(
                "task", draw.integers(1, VOCABULARY, size).tolist(), [*answers, (size - 4, size)]
            )
            for size in (50, 37)
        ],
        Objective(),
    )


@cache
def adapted(name: str) -> Any:
    """Return a tiny model with an adapter that is not zero."""
    model = tiny_model(name)
    add_adapter(model, Lora(rank=2))
    mx.random.seed(1)
    weights = model.trainable_parameters()
    model.update(tree_map(lambda array: mx.random.normal(array.shape) * 0.02, weights))
    model.train()
    return model


@cache
def reference(name: str) -> tuple[mx.array, dict[str, mx.array]]:
    """Return loss and gradients from all logits of the model as it is."""
    batch = two_episodes()

    def loss(model: Any) -> mx.array:
        # Gemma 3n's later layers find what they share in a cache only; without one they make up
        # keys that no answer is made with.
        given = {"cache": make_prompt_cache(model)} if name == "gemma3n+shared" else {}
        logits = model(mx.array(batch.tokens), **given).astype(mx.float32)
        rows = logits.reshape(-1, VOCABULARY)[mx.array(batch.rows)]
        losses = nn.losses.cross_entropy(rows, mx.array(batch.targets))
        return (losses * mx.array(batch.weights)).sum()

    model = adapted(name)
    value, gradients = nn.value_and_grad(model, loss)(model)
    mx.eval(value, gradients)
    return value, dict(tree_flatten(gradients))


def size(array: mx.array) -> float:
    norm: float = mx.linalg.norm(array.astype(mx.float32).reshape(-1)).item()  # type: ignore
    return norm


def case_id(value: Any) -> str:
    if isinstance(value, Dials):
        return f"{value.chunk}x{value.stash}"
    return value or "plain"


@pytest.mark.parametrize(("name", "dials"), CASES, ids=case_id)
def test_each_gradient_of_an_architecture_is_that_of_the_plain_model(
    name: str, dials: Dials | None
) -> None:
    expected_loss, expected = reference(name)
    loss, tree = loss_and_gradients(adapted(name), two_episodes(), dials)
    gradients = dict(tree_flatten(tree))
    assert gradients.keys() == expected.keys()
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-5)
    largest = max(size(gradient) for gradient in expected.values())
    assert largest > 0
    wrong = {
        key: size(gradients[key] - gradient) / (size(gradient) + 1e-6 * largest)
        for key, gradient in expected.items()
    }
    assert {key: error for key, error in wrong.items() if not error <= 1e-4} == {}


@pytest.mark.parametrize("name", ["deepseek_v3", "kimi_linear", "longcat_flash"])
def test_latents_are_not_expanded(name: str) -> None:
    with attention.bounded_attention():
        runs = Survey(adapted(name)).runs
    keys = [part for run in runs for part in run.parts if isinstance(part, KeyValues)]
    assert keys
    assert all(isinstance(part, Latents) for part in keys)


@pytest.mark.parametrize("name", ["gemma2", "gear+capped"])
def test_capped_scores_are_no_matrix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    capped: list[Any] = []
    monkeypatch.setattr(
        attention, "attend", lambda q, k, v, *, cap, **_: capped.append(cap) or (q, q)
    )
    model = adapted(name)
    with attention.bounded_attention():
        Survey(model)
    assert capped == [2.0] * len(model.layers)


def architectures() -> set[str]:
    """Return the names of the modules of mlx-lm that have a model."""
    folder = Path(mlx_lm.models.__path__[0])
    return {
        path.stem
        for path in folder.glob("*.py")
        if re.search(r"class Model\(|import .*\bModel\b", path.read_text(encoding="utf-8"))
    }


def test_the_docs_name_every_architecture_and_what_is_missing_where() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    section = page.split("## Architectures")[1].split("\n## ")[0]
    exact, missing = section.split("| architecture |")
    named = set(re.findall(r"[\w-]+", exact.split("\n\n")[-3]))
    left_out = set(re.findall(r"^\| `([\w.-]+)`", missing, re.MULTILINE))
    assert named == {name.split("+")[0] for name in EXACT}
    assert named | left_out == architectures()
    refused = {name.split("+")[0] for name in REFUSED | WITHOUT_ADAPTER}
    assert left_out == (refused | NOT_TRIED) - named


@pytest.mark.parametrize("name", WITHOUT_ADAPTER)
def test_what_mlx_lm_gives_no_adapter_is_refused_by_name(name: str) -> None:
    with pytest.raises(RunError) as caught:
        adapted(name)
    assert str(caught.value).startswith(f"{name} cannot be trained: {WITHOUT_ADAPTER[name]}")


def test_what_is_refused_for_want_of_a_gradient_has_none() -> None:
    model = tiny_model("deepseek_v41")
    with pytest.raises(ValueError, match="VJP"):
        nn.value_and_grad(model, lambda model: model(mx.array([[1, 2, 3]])).sum())(model)


@pytest.mark.parametrize("name", [name for name in EXACT if name not in RARE])
def test_nearly_all_parameters_of_a_tiny_model_have_a_gradient(name: str) -> None:
    sizes = [size(gradient) for gradient in reference(name)[1].values()]
    assert sum(value > 1e-7 * max(sizes) for value in sizes) > 0.9 * len(sizes)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_in_chunks_is_refused_by_name(name: str) -> None:
    model = adapted(name)
    with pytest.raises(RunError) as caught:
        loss_and_gradients(model, two_episodes(), Dials(16, 2))
    assert str(caught.value).startswith(f"{model.model_type} cannot be trained in chunks: ")
    assert REFUSED[name] in str(caught.value)
