"""Episodes that share a row: each is read as if it stood alone, whatever stands beside it."""

from functools import cache
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_flatten, tree_map

from tests.architectures.parts import SHAPE
from tests.draws import draws
from tests.fakes import random_llama
from tests.naive_llama import Weights, forward, weights_of
from tests.tiny_models import CONFIGS, tiny_model
from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import RunError
from yofo_mlx.gradients import Dials, loss_and_gradients
from yofo_mlx.gradients.exactness import measure_packing, packing_refusal
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.gradients.plain import plain_loss_and_gradients
from yofo_mlx.gradients.segments import ATTENDING, kept_apart, rope
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.models.logits import row_logits
from yofo_mlx.planning.packing import settled
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.recipe.schema import Lora, Objective
from yofo_mlx.runs.recipe import load_recipe

VOCABULARY = 97
TOLERANCE = 3e-6  # of a parameter's gradient, by its norm
PARTS_TOLERANCE = 1e-4  # what chunks are held to
WINDOW, STATE, OTHER = "a mask of its own", "a state from token to token", "gradients differ"
REFUSED = {
    "gemma3_text": WINDOW,
    "gpt_oss": WINDOW,
    "gpt2": OTHER,  # positions from a table
    "lfm2": STATE,
    "mamba2": STATE,
}


@cache
def llama() -> Any:
    """Return a tiny llama with an adapter that is not zero."""
    model = random_llama(vocab=VOCABULARY)
    add_adapter(model, Lora(rank=2))
    mx.random.seed(1)
    weights = model.trainable_parameters()
    model.update(tree_map(lambda array: array + mx.random.normal(array.shape) * 0.02, weights))
    model.train()
    return model


def episodes(lengths: list[int], seed: int = 0) -> list[Episode]:
    """Return episodes with answers of one to three tokens, the last at the end."""
    rng = np.random.default_rng(seed)
    found = []
    for length in lengths:
        starts = sorted({1, *rng.integers(1, length, 2).tolist(), length - 1})
        answers = [(start, min(start + 1 + start % 3, length)) for start in starts]
        found.append(Episode("task", rng.integers(1, VOCABULARY, length).tolist(), answers))
    return found


def gradients_of(batch: Batch, dials: Dials | None = None) -> tuple[float, dict[str, mx.array]]:
    loss, tree = loss_and_gradients(llama(), batch, dials)
    gradients = dict(tree_flatten(tree))
    mx.eval(loss, gradients)
    return loss.item(), gradients


def alone(drawn: list[Episode]) -> tuple[float, dict[str, mx.array]]:
    """Return the sums over episodes that are read one by one."""
    results = [gradients_of(make_batch([one], Objective())) for one in drawn]
    names = results[0][1]
    return sum(loss for loss, _ in results), {
        name: sum((more[name] for _, more in results[1:]), results[0][1][name]) for name in names
    }


def check(
    drawn: list[Episode],
    dials: Dials | None = None,
    tolerance: float = TOLERANCE,
    care: float = 0.0,
) -> None:
    """Compare every parameter's gradient by its norm, and so much of the largest one's beside it.

    In very short episodes some are the rest of large terms: two tokens need no query.
    """
    row = make_batch(drawn, Objective(), packed=True)
    (loss, found), (expected_loss, expected) = gradients_of(row, dials), alone(drawn)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert found.keys() == expected.keys()
    largest = max(float(mx.linalg.norm(array)) for array in expected.values())
    for name, array in expected.items():
        size = float(mx.linalg.norm(array)) + care * largest
        assert float(mx.linalg.norm(found[name] - array)) <= tolerance * size, name


@draws(20)
@given(lengths=st.lists(st.integers(2, 60), min_size=2, max_size=9), seed=st.integers(0, 99))
def test_a_row_of_any_lengths_gives_the_gradient_of_its_episodes(
    lengths: list[int], seed: int
) -> None:
    check(episodes(lengths, seed), care=0.1)


def test_so_does_a_row_of_more_than_attend_together_and_of_more_than_a_tile() -> None:
    lengths = [200, 190, 150, 130, *[100] * 9]
    assert sum(lengths) > ATTENDING
    check(episodes(lengths))


@pytest.mark.parametrize("chunk", [7, 64])
def test_a_row_that_does_not_fit_at_once_is_taken_in_parts(chunk: int) -> None:
    told: list[float] = []
    drawn = episodes([40, 3, 25, 25, 11, 2])
    check(drawn, Dials(chunk, 1), PARTS_TOLERANCE)
    row = make_batch(drawn, Objective(), packed=True)

    def tell(done: int, pieces: int, phase: str) -> None:
        told.append(done / pieces)

    loss_and_gradients(llama(), row, Dials(chunk, 1), tell)
    assert told[-1] == 1 and max(told) == 1


def naive_loss(weights: Weights, row: Batch, drawn: list[Episode]) -> float:
    """Return the weighted sum of -log p in float64, of each episode by itself."""
    tables = [forward(weights, llama().args, one.tokens, Lora().scale) for one in drawn]
    rows = np.concatenate(tables)[row.rows]
    nll = np.log(np.exp(rows).sum(axis=1)) - rows[np.arange(len(rows)), row.targets]
    return float((nll * row.weights).sum())


def test_loss_and_gradient_are_those_of_the_definition_in_float64() -> None:
    drawn, draw = episodes([21, 9, 14]), np.random.default_rng(3)
    row, weights = make_batch(drawn, Objective(), packed=True), weights_of(llama())
    loss, gradients = gradients_of(row)
    assert loss == pytest.approx(naive_loss(weights, row, drawn), rel=1e-6)
    directions = {name: draw.standard_normal(array.shape) for name, array in gradients.items()}
    found = {name: np.array(array, np.float64) for name, array in gradients.items()}
    slope = sum((found[name] * towards).sum() for name, towards in directions.items())

    def at(step: float) -> float:
        moved = {name: weights[name] + step * towards for name, towards in directions.items()}
        return naive_loss(weights | moved, row, drawn)

    ends = at(1e-6), at(-1e-6)
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


def losses(drawn: list[Episode]) -> list[list[float]]:
    """Return the losses of the targets of each episode of a row."""
    row = make_batch(drawn, Objective(), packed=True)
    with kept_apart(row):
        logits = row_logits(llama(), mx.array(row.tokens), mx.array(row.rows))
        nll = np.array(token_losses(logits, mx.array(row.targets)))
    owner = np.searchsorted(np.cumsum(row.lengths), row.rows, side="right")
    return [nll[owner == place].tolist() for place in range(len(drawn))]


@draws(12)
@given(lengths=st.lists(st.integers(2, 50), min_size=2, max_size=6), data=st.data())
def test_another_episode_beside_it_leaves_an_episodes_losses_bit_equal(
    lengths: list[int], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(lengths) - 1), label="changed")
    before = episodes(lengths)
    changed = [*before]
    tokens = [(token + 5) % VOCABULARY for token in before[place].tokens]
    changed[place] = Episode("task", tokens, before[place].answers)
    one, two = losses(before), losses(changed)
    assert one[place] != two[place]
    assert [*one[:place], *one[place + 1 :]] == [*two[:place], *two[place + 1 :]]


def test_what_mlx_does_is_as_it_was_afterwards_and_for_a_single_episode_meanwhile() -> None:
    before = mx.fast.rope, mx.fast.scaled_dot_product_attention
    with kept_apart(make_batch(episodes([5]), Objective(), packed=True)):
        assert (mx.fast.rope, mx.fast.scaled_dot_product_attention) == before
    with (
        pytest.raises(ZeroDivisionError),
        kept_apart(make_batch(episodes([5, 4]), Objective(), packed=True)),
    ):
        assert mx.fast.rope is not rope
        raise ZeroDivisionError
    assert (mx.fast.rope, mx.fast.scaled_dot_product_attention) == before


# ----------------------------------------------------------------------------- architectures


def config(name: str) -> dict[str, Any]:
    return SHAPE | {"model_type": name.split("+")[0]} | CONFIGS[name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_would_not_keep_episodes_apart_is_refused_with_the_reason(name: str) -> None:
    why = packing_refusal(config(name), Lora())
    assert REFUSED[name] in why


def test_capped_scores_are_kept_apart_too() -> None:
    assert packing_refusal(config("gemma2"), Lora()) == ""


def test_positions_that_are_stretched_by_the_length_of_the_row_are_refused() -> None:
    stretched = {"rope_scaling": {"type": "dynamic", "factor": 2.0}}
    assert OTHER in packing_refusal(config("llama") | stretched, Lora())
    assert packing_refusal(config("llama"), Lora()) == ""


def test_a_recipe_of_such_a_model_is_trained_in_padded_rows_and_that_is_told() -> None:
    packed = ["train.batch_tokens=1000", "train.packed=true"]
    recipe = load_recipe(find_recipe("tiny"), packed)
    assert settled(recipe, config("llama")) == (recipe, [])
    padded, notes = settled(recipe, config("lfm2"))
    assert padded == load_recipe(find_recipe("tiny"), packed[:1])
    assert "lfm2" in notes[0][0] and STATE in notes[0][0]
    assert settled(padded, {}) == (padded, [])


def test_a_row_that_a_model_cannot_read_ends_in_words() -> None:
    model = tiny_model("gemma3_text")
    add_adapter(model, Lora(rank=2))
    with pytest.raises(RunError, match="a mask of its own") as caught:
        plain_loss_and_gradients(model, make_batch(episodes([30, 9]), Objective(), packed=True))
    assert "train.packed = false" in caught.value.hint


@pytest.mark.long
@pytest.mark.parametrize("name", CONFIGS)
def test_every_architecture_is_exact_or_refused(name: str) -> None:
    model = tiny_model(name)
    try:
        add_adapter(model, Lora(rank=2))
        found = measure_packing(model)
    except Exception as error:
        found = error
    refused = packing_refusal(config(name), Lora())
    assert refused or (not isinstance(found, Exception) and found.gradients < TOLERANCE), found
