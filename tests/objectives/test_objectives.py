"""Every objective against its definition in float64: number and gradient, also in chunks."""

from collections.abc import Callable
from functools import cache
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
import pytest
from mlx.utils import tree_flatten

from tests.fakes import random_llama
from tests.naive_llama import Weights, forward, weights_of
from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.sampler import Demonstration, Episode
from yofo_mlx.gradients import Dials, loss_and_gradients
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.objectives import reweighting
from yofo_mlx.recipe.schema import Lora, Objective

LORA = Lora(rank=2)
VOCABULARY = 61
Nll = Callable[[Episode, tuple[int, int]], npt.NDArray[np.float64]]
Table = npt.NDArray[np.float64]

OBJECTIVES = [
    Objective(),
    Objective(reweight=2.0),
    Objective(reweight=2.0, normalize="token"),
    Objective(smoothing=0.3),
    Objective(rejected=0.7),
    Objective(rejected=0.7, normalize="token"),
    Objective(unlikelihood=0.8, wrong_labels=2),
    Objective(choice=0.8, wrong_labels=2),
    Objective(targets="last", choice=0.5, unlikelihood=1.5),
    Objective(zero_shot=0.4),
    Objective(
        zero_shot=0.4, reweight=3.0, smoothing=0.2, rejected=1.0, unlikelihood=1.0, choice=1.0
    ),
]


def episodes(objective: Objective) -> list[Episode]:
    """Return two episodes with all that may be read beside them, in the order of a pass."""
    random = np.random.default_rng(0)

    def tokens(count: int) -> list[int]:
        return [int(token) for token in random.integers(0, VOCABULARY, count)]

    drawn = []
    for sizes in ((2, 1, 3, 2), (1, 2)):
        episode = Episode("task", tokens(2), weight=1 - objective.zero_shot)
        shown = [Demonstration(tokens(3), tokens(3), tokens(n), doubt=n / 4) for n in sizes]
        assert all(map(episode.add, shown))
        if objective.zero_shot:
            for one in shown if objective.targets == "all" else shown[-1:]:
                alone = Episode("task", tokens(2), kind="zero_shot", weight=objective.zero_shot)
                alone.add(one)
                episode.beside.append(alone)
        others = ["rejected"] * bool(objective.rejected)
        others += ["wrong"] * (objective.wrong_labels if objective.contrasts else 0)
        for kind in others:
            start = episode.answers[-1][0]
            other = tokens(int(random.integers(1, 4)))
            span = (start, start + len(other))
            parts = [*episode.tokens[:start], *other], [*episode.answers[:-1], span]
            episode.beside.append(Episode("task", *parts, kind=kind))  # type: ignore[arg-type]
        drawn.append(episode)
    return drawn


def batch_of(drawn: list[Episode], objective: Objective) -> Batch:
    return make_batch([*drawn, *(one for row in drawn for one in row.beside)], objective)


def definition(
    weights: Weights, args: Any, drawn: list[Episode], objective: Objective, at: Weights
) -> float:
    """Compute the loss of an update; `at`: where factors without a gradient are computed."""

    def nlls(here: Weights, episode: Episode) -> list[tuple[Table, Table]]:
        table = forward(here, args, episode.tokens, LORA.scale)
        log_p = table - np.log(np.exp(table).sum(axis=1, keepdims=True))
        return [
            (
                -log_p[np.arange(a - 1, b - 1), episode.tokens[a:b]],
                -log_p[a - 1 : b - 1].mean(axis=1),
            )
            for a, b in episode.answers
        ]

    by_token = objective.normalize == "token"
    total = denominator = 0.0
    for episode in drawn:
        answers = nlls(weights, episode)
        sizes = [len(nll) if by_token else 1 for nll, _ in answers]
        fixed = []
        for (nll, spread), doubt in zip(nlls(at, episode), episode.doubts, strict=True):
            share = objective.smoothing * doubt
            fixed.append(float(((1 - share) * nll + share * spread).mean()))
        for place in range(len(answers)) if objective.targets == "all" else [len(answers) - 1]:
            nll, spread = answers[place]
            share = objective.smoothing * episode.doubts[place]
            smooth = ((1 - share) * nll + share * spread).mean()
            before = fixed[max(0, place - reweighting.WINDOW) : place]
            if objective.reweight and before:
                smooth *= np.exp((fixed[place] - max(before)) / objective.reweight)
            total += (1 - objective.zero_shot) * sizes[place] * smooth
            denominator += (1 - objective.zero_shot) * sizes[place]
        for twin in (one for one in episode.beside if one.kind == "zero_shot"):
            ((nll, spread),) = nlls(weights, twin)
            share = objective.smoothing * twin.doubts[0]
            size = len(nll) if by_token else 1
            total += objective.zero_shot * size * ((1 - share) * nll + share * spread).mean()
            denominator += objective.zero_shot * size
        mass = sum(sizes) if objective.targets == "all" else sizes[-1]
        others = {
            kind: [nlls(weights, one)[-1][0] for one in episode.beside if one.kind == kind]
            for kind in ("rejected", "wrong")
        }
        for nll in others["rejected"]:
            total += mass * objective.rejected * -np.log(1 - np.exp(-nll.mean()))
        if wrong := others["wrong"]:
            unlikely = -np.log(1 - np.exp(-np.concatenate(wrong))).mean()
            right, _ = answers[-1]
            share = objective.smoothing * episode.doubts[-1]
            own = (1 - share) * right.mean() + share * answers[-1][1].mean()
            scores = [-own, *(-nll.mean() for nll in wrong)]
            choice = np.log(np.exp(scores).sum()) + own
            total += mass * (objective.unlikelihood * unlikely + objective.choice * choice)
    return float(total / denominator)


@cache
def model() -> Any:
    """Return a model with an adapter off its start, where `lora_b` and half the gradients are 0."""
    made = random_llama(vocab=VOCABULARY)
    add_adapter(made, LORA)
    weights = tree_flatten(made.trainable_parameters())
    moved = [(name, w + 0.02 * mx.random.normal(w.shape)) for name, w in weights]
    made.load_weights(moved, strict=False)
    return made


@pytest.mark.parametrize(
    "objective", OBJECTIVES, ids=lambda one: str(one.model_dump(exclude_defaults=True))
)
def test_loss_and_gradient_are_those_of_the_definition(objective: Objective) -> None:
    check(episodes(objective), objective)


def test_an_episode_without_wrong_labels_is_read_beside_one_that_has_some() -> None:
    objective = Objective(rejected=0.7, choice=0.8, unlikelihood=0.5)
    drawn = episodes(objective)
    drawn[1].beside = [one for one in drawn[1].beside if one.kind == "rejected"]
    check(drawn, objective)


def test_an_answer_is_weighed_by_the_ten_before_it_in_its_episode() -> None:
    objective = Objective(reweight=2.0)
    shown = [Demonstration([1], [1], [2]) for _ in range(13)]
    drawn = [Episode("task", [3]), Episode("task", [3])]
    assert all(episode.add(one) for episode in drawn for one in shown)
    losses = np.arange(26.0, 0.0, -1.0)  # each is easier than all before it
    found = np.array(reweighting.weights(mx.array(losses), batch_of(drawn, objective)))
    expected = [np.exp((0 if n == 0 else -min(n, 10)) / 2.0) for n in range(13)]
    assert found == pytest.approx([*expected, *expected])


def check(drawn: list[Episode], objective: Objective) -> None:
    """Compare loss and gradient, plainly and in chunks, with the definition."""
    weights = weights_of(model())
    batch = batch_of(drawn, objective)
    loss, gradients = loss_and_gradients(model(), batch)
    chunked, pieces = loss_and_gradients(model(), batch, Dials(5, 1))
    expected = definition(weights, model().args, drawn, objective, weights)
    assert loss.item() / batch.denominator == pytest.approx(expected, rel=2e-6)
    assert chunked.item() == pytest.approx(loss.item(), rel=1e-6)
    random, slopes, found = np.random.default_rng(1), [], dict(tree_flatten(pieces))
    direction = {name: random.standard_normal(g.shape) for name, g in tree_flatten(gradients)}
    for name, gradient in tree_flatten(gradients):
        size = np.linalg.norm(np.array(gradient))
        assert np.linalg.norm(np.array(found[name] - gradient)) < 1e-5 * size, name
        slopes.append((np.array(gradient, dtype=np.float64) * direction[name]).sum())
    ends = [
        definition(
            weights | {name: weights[name] + width * step for name, step in direction.items()},
            model().args,
            drawn,
            objective,
            weights,
        )
        for width in (1e-6, -1e-6)
    ]
    assert sum(slopes) / batch.denominator == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)
