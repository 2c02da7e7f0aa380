"""`dtype`: the type a model computes in, from the recipe to the memory that is planned."""

from dataclasses import replace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import RecipeError
from yofo_mlx.gradients import loss_and_gradients
from yofo_mlx.gradients.dials import Dials
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.models.base import base_of
from yofo_mlx.models.computing import cast, computing_type
from yofo_mlx.planning.planner import make_planner
from yofo_mlx.prompting.loading import LoadedModel, Source
from yofo_mlx.recipe.file import validate
from yofo_mlx.recipe.schema import Dtype, Lora, Objective, Recipe
from yofo_mlx.training.beginning import doubts

HALVES: list[Dtype] = ["bfloat16", "float16"]


def recipe(dtype: str = "auto") -> Recipe:
    tasks = [{"source": "tiny:topic-01"}]
    given = {"model": "tiny", "dtype": dtype, "train": {"steps": 1}, "tasks": tasks}
    return validate(given, "recipe.toml")


def test_left_out_it_is_float32_on_a_cpu() -> None:
    assert computing_type("auto") == mx.float32
    assert computing_type("float16") == mx.float16
    assert list(doubts(recipe())) == []
    with pytest.raises(RecipeError, match="dtype"):
        recipe("float64")


def gradients(dtype: Dtype, dials: Dials | None) -> mx.array:
    """Return the adapter's gradient on the embedded model as one vector."""
    model = base_of(recipe(dtype)).model
    mx.random.seed(0)
    add_adapter(model, Lora(rank=2))
    draw = np.random.default_rng(0).integers(0, 200, 48).tolist()
    episode = Episode("letters", draw, [(end - 2, end) for end in range(8, 49, 8)])
    _, found = loss_and_gradients(model, make_batch([episode], Objective()), dials)
    arrays: Any = tree_flatten(found)
    assert {array.dtype for _, array in arrays} == {mx.float32}
    return mx.concatenate([array.flatten() for _, array in sorted(arrays)])


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_are_exact_up_to_the_rounding_of_the_type_asked_for(dtype: Dtype) -> None:
    exact = gradients("auto", None)
    plain, chunked = (gradients(dtype, dials) for dials in (None, Dials(13, 2)))
    rounding = mx.linalg.norm(plain - exact).item()
    assert rounding > 0
    assert mx.linalg.norm(chunked - exact).item() <= 2 * rounding
    assert mx.linalg.norm(chunked - plain).item() <= 2 * rounding


@pytest.mark.parametrize("dtype", HALVES)
def test_a_model_is_loaded_in_the_type_asked_for(dtype: Dtype) -> None:
    base = base_of(recipe(dtype))
    assert {a.dtype for _, a in tree_flatten(base.model.parameters())} == {getattr(mx, dtype)}
    assert [message for message, _ in doubts(recipe(dtype))] == [
        f"on a CPU {dtype} takes many times as long as float32"
    ]


def test_what_a_model_needs_in_float32_stays_that() -> None:
    class Model(nn.Module):
        cast_predicate = staticmethod(lambda name: name != "decay")

        def __init__(self) -> None:
            super().__init__()
            self.decay, self.weight = mx.ones(2), mx.ones(2)
            self.packed = mx.ones(2, mx.uint32)

    model = Model()
    cast(model, "bfloat16")
    assert (model.decay.dtype, model.weight.dtype) == (mx.float32, mx.bfloat16)
    assert model.packed.dtype == mx.uint32


def test_memory_is_planned_for_the_type_asked_for() -> None:
    whole, half = (make_planner(recipe(dtype)).shape for dtype in ("auto", "bfloat16"))
    assert (whole.item, half.item) == (4, 2)
    assert half.weight_bytes == pytest.approx(whole.weight_bytes / 2)


def test_two_types_do_not_share_a_model_in_memory() -> None:
    source = Source("tiny")
    loaded = LoadedModel(source, base_of(recipe()))
    assert loaded.switch(source, use_adapter=False)
    assert not loaded.switch(replace(source, dtype="bfloat16"), use_adapter=False)
