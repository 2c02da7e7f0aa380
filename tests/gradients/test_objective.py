"""The loss and its gradients against a naive twin in float64."""

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from tests.definitions import defined
from tests.fakes import random_llama
from tests.naive_llama import Weights, forward, weights_of
from yofo_mlx import gradients as door
from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.packing import alike
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.gradients import Dials, loss_and_gradients
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.models.logits import row_logits
from yofo_mlx.recipe.schema import Lora, Objective
from yofo_mlx.training import loop

LORA = Lora(rank=2)

OBJECTIVES = [
    Objective(targets="all", normalize="answer"),
    Objective(targets="all", normalize="token"),
    Objective(targets="last", normalize="answer"),
    Objective(targets="last", normalize="token"),
    Objective(targets="tokens", normalize="token"),
]


def episodes() -> list[Episode]:
    random = np.random.default_rng(0)
    return [
        Episode("one", random.integers(0, 261, 23).tolist(), [(4, 6), (10, 11), (18, 23)]),
        Episode("two", random.integers(0, 261, 9).tolist(), [(7, 9)]),
    ]


def naive_loss(weights: Weights, args: Any, objective: Objective) -> float:
    """Compute the loss by the lines that `training/loop.py` gives as its definition."""
    names = defined(
        loop.__doc__,
        "def loss(",
        model=lambda tokens: forward(weights, args, tokens, LORA.scale),
        log_softmax=lambda rows: rows - np.log(np.exp(rows).sum(axis=-1, keepdims=True)),
        mean=np.mean,
    )
    given = [(one.tokens, [range(*span) for span in one.answers]) for one in episodes()]
    return float(names["loss"](given, objective.targets, objective.normalize))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_loss_equals_its_definition(objective: Objective) -> None:
    model = adapted_model()
    batch = make_batch(episodes(), objective)
    loss, _ = loss_and_gradients(model, batch)
    expected = naive_loss(weights_of(model), model.args, objective)
    assert loss.item() / batch.denominator == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_gradient_equals_finite_differences_of_the_definition(objective: Objective) -> None:
    model = adapted_model()
    weights, random = weights_of(model), np.random.default_rng(1)
    batch = make_batch(episodes(), objective)
    _, gradients = loss_and_gradients(model, batch)
    for name, gradient in tree_flatten(gradients):
        direction = random.standard_normal(gradient.shape)
        slope = (np.array(gradient, dtype=np.float64) * direction).sum() / batch.denominator
        ends = [
            naive_loss(weights | {name: weights[name] + width * direction}, model.args, objective)
            for width in (1e-6, -1e-6)
        ]
        size = np.linalg.norm(np.array(gradient)) / batch.denominator
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-4 * size), name


@pytest.mark.parametrize("dials", [None, Dials(7, 1), Dials(64, 2)], ids=str)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_door_gives_what_it_says_it_is_equal_to(
    objective: Objective, dials: Dials | None
) -> None:
    model, batch = adapted_model(), make_batch(episodes(), objective)
    arrays = {
        name: mx.array(getattr(batch, name)) for name in ("tokens", "rows", "targets", "weights")
    }
    (B, L), N, V = batch.tokens.shape, len(batch.targets), model.args.vocab_size
    summed = defined(door.__doc__, "def summed(", mx=mx, B=B, L=L, N=N, V=V, **arrays)["summed"]
    expected, wanted = nn.value_and_grad(model, summed)(model)
    loss, gradients = loss_and_gradients(model, batch, dials)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    known = dict(tree_flatten(gradients))
    for name, gradient in tree_flatten(wanted):
        size = np.linalg.norm(np.array(gradient))
        assert np.linalg.norm(np.array(known[name] - gradient)) < 1e-4 * size, name


def adapted_model() -> Any:
    """Return a model with an adapter off its start, where `lora_b` and half the gradients are 0."""
    model = random_llama()
    add_adapter(model, LORA)
    weights = tree_flatten(model.trainable_parameters())
    moved = [(name, w + 0.02 * mx.random.normal(w.shape)) for name, w in weights]
    model.load_weights(moved, strict=False)
    return model


def test_token_losses_and_their_gradient_equal_float64() -> None:
    random = np.random.default_rng(2)
    table, targets = random.standard_normal((7, 50)) * 8, random.integers(0, 50, 7)
    nll = np.log(np.exp(table).sum(axis=1)) - table[np.arange(7), targets]
    softmax = np.exp(table) / np.exp(table).sum(axis=1, keepdims=True)
    softmax[np.arange(7), targets] -= 1
    logits = mx.array(table.astype(np.float32))
    losses = token_losses(logits, mx.array(targets))
    gradient = mx.grad(lambda x: token_losses(x, mx.array(targets)).sum())(logits)
    np.testing.assert_allclose(np.array(losses), nll, rtol=1e-5)
    np.testing.assert_allclose(np.array(gradient), softmax, atol=1e-6)


def test_only_asked_rows_are_projected_and_they_equal_the_full_projection() -> None:
    model = random_llama()
    batch = make_batch(episodes(), Objective())
    rows = row_logits(model, mx.array(batch.tokens), mx.array(batch.rows))
    full = model(mx.array(batch.tokens)).reshape(-1, 261)
    assert rows.shape == (len(batch.targets), 261)
    np.testing.assert_allclose(np.array(rows), np.array(full[mx.array(batch.rows)]), atol=1e-5)


def test_padding_changes_neither_loss_nor_gradient() -> None:
    model = adapted_model()
    together = loss_and_gradients(model, make_batch(episodes(), Objective()))
    alone = [loss_and_gradients(model, make_batch([e], Objective())) for e in episodes()]
    assert together[0].item() == pytest.approx(sum(loss.item() for loss, _ in alone), rel=1e-5)
    parts = [dict(tree_flatten(gradients)) for _, gradients in alone]
    for name, gradient in tree_flatten(together[1]):
        summed = np.array(parts[0][name] + parts[1][name])
        np.testing.assert_allclose(np.array(gradient), summed, atol=1e-4, rtol=1e-4)


def test_passes_of_rows_of_like_length_sum_up_to_what_episodes_one_by_one_do() -> None:
    random = np.random.default_rng(1)
    several = [
        Episode("one", random.integers(0, 261, length).tolist(), [(length - 3, length - 1)])
        for length in random.integers(5, 40, 12)
    ]
    lengths = [len(one.tokens) for one in several]
    passes = [[several[place] for place in places] for places in alike(lengths, 100)]
    assert 1 < max(map(len, passes)) < len(several)
    model = adapted_model()

    def summed(together: list[list[Episode]]) -> tuple[float, float, dict[str, Any]]:
        batches = [make_batch(rows, Objective()) for rows in together]
        found = [loss_and_gradients(model, batch) for batch in batches]
        gradients: dict[str, Any] = {}
        for _, part in found:
            for name, array in tree_flatten(part):
                gradients[name] = np.array(array, dtype=np.float64) + gradients.get(name, 0.0)
        loss = sum(one.item() for one, _ in found)
        return loss, sum(batch.denominator for batch in batches), gradients

    loss, denominator, gradients = summed(passes)
    expected, divisor, alone = summed([[episode] for episode in several])
    assert loss == pytest.approx(expected, rel=1e-6) and denominator == divisor
    for name, array in gradients.items():
        assert np.linalg.norm(array - alone[name]) < 1e-5 * np.linalg.norm(alone[name]), name


def test_accumulated_passes_weigh_by_their_targets() -> None:
    model = random_llama()
    add_adapter(model, Lora())
    batches: list[Batch] = [make_batch([episode], Objective()) for episode in episodes()]
    total = sum(loss_and_gradients(model, batch)[0].item() for batch in batches)
    whole = make_batch(episodes(), Objective())
    expected = loss_and_gradients(model, whole)[0].item() / whole.denominator
    assert total / sum(batch.denominator for batch in batches) == pytest.approx(expected, rel=1e-5)


def test_targets_have_no_gradient() -> None:
    logits, targets = mx.random.normal((2, 5)), mx.array([3, 1])
    _, gradients = mx.vjp(token_losses, [logits, targets], [mx.ones(2)])
    assert gradients[1].tolist() == [0, 0]
