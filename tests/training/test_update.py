"""One update: what it draws, what it refuses, what it says meanwhile."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten, tree_map

from tests.fakes import random_llama
from yofo_mlx.episodes.batches import Batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import RunError
from yofo_mlx.gradients import Dials
from yofo_mlx.models.adapters import adapter_weights, add_adapter
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs import launch
from yofo_mlx.runs.events import EventWriter
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.training import loop
from yofo_mlx.training.checkpoints import resume_newest, save_checkpoint
from yofo_mlx.training.ranks import StepLeft
from yofo_mlx.training.setup import Setup
from yofo_mlx.training.trainer import Learner, Trainer


class Numbers:
    """A sampler whose episodes show what they were drawn for."""

    def draw(self, step: int, micro_step: int, count: int) -> list[Episode]:
        tokens = [step, micro_step, 7, 8]
        return [Episode(f"task {9 - micro_step}", tokens, [(2, 4)]) for _ in range(count)]


def recipe(*overrides: str) -> Recipe:
    few = ["lora.rank=2", "train.batch_size=2", "train.grad_accumulation_steps=3"]
    return load_recipe(find_recipe("tiny"), [*few, *overrides])


@pytest.fixture
def trainer() -> Trainer:
    """Return a trainer of a small random model, before its first step."""
    settings = recipe()
    run = launch.create_run(settings, "update")
    model = random_llama()
    add_adapter(model, settings.lora)
    setup = Setup(
        base=SimpleNamespace(model=model, config={}),  # type: ignore[arg-type]
        workload=SimpleNamespace(sampler=Numbers()),  # type: ignore[arg-type]
    )
    return Trainer(
        run=run,
        learner=Learner(settings, setup),
        writer=EventWriter(run.events_path),
        on_event=lambda event: None,
        should_stop=lambda: False,
        should_leave=lambda: False,
    )


def plan(trainer: Trainer, dials: Callable[[Batch], Dials | None]) -> None:
    """Let batches be taken as `dials` says."""
    planner: Any = SimpleNamespace(dials=dials)
    trainer.learner.setup = replace(trainer.learner.setup, planner=planner)


def differentiated(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, act: Any, loss: float = 1.0
) -> tuple[float, float]:
    """Make one update, in which `act(dials, progress)` stands for the work on a batch.

    A batch's loss is `loss`; what `act` returns, or 0, is its gradient everywhere.
    """

    def stand_in(model: Any, batch: Batch, dials: Dials | None, progress: Any) -> Any:
        filling = act(dials, progress) or 0.0
        gradients = tree_map(lambda a: mx.full(a.shape, filling), model.trainable_parameters())
        return mx.array(loss), gradients

    monkeypatch.setattr(loop, "loss_and_gradients", stand_in)
    learner = trainer.learner
    return loop.update(learner, loop.draw(learner), 1e-3, trainer)


@pytest.mark.parametrize("chunked", [(0, 0, 0, 1, 1, 1), (1, 1, 1, 0, 0, 0), (0, 1, 0, 1, 0, 1)])
def test_a_run_that_goes_on_takes_some_passes_in_chunks_and_others_whole(
    trainer: Trainer, chunked: tuple[int, ...]
) -> None:
    learner = trainer.learner
    learner.optimizer.init(learner.model.trainable_parameters())
    save_checkpoint(trainer.run, learner.model, learner.optimizer, learner.state, learner.recipe)
    resume_newest(trainer.run, learner.model, learner.optimizer)
    learner.chunks_tried = True
    ways = iter([Dials(2, 1) if one else None for one in chunked])
    plan(trainer, lambda batch: next(ways))
    before = {name: mx.array(array) for name, array in adapter_weights(learner.model).items()}
    for _ in range(2):
        loop.update(learner, loop.draw(learner), 1e-3, trainer)
    after = adapter_weights(learner.model)
    assert not any(mx.array_equal(before[name], after[name]) for name in before)


def test_loss_and_gradient_are_summed_over_the_passes_and_divided_once(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, norm = differentiated(trainer, monkeypatch, lambda *_: 2.0)
    trained = tree_flatten(trainer.learner.model.trainable_parameters())
    assert loss == pytest.approx(3 / 6)  # three passes over two answers each
    assert norm == pytest.approx(2.0 * 3 / 6 * math.sqrt(sum(array.size for _, array in trained)))


def test_a_long_gradient_is_clipped_and_taken_at_the_rate(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert differentiated(trainer, monkeypatch, lambda *_: 2.0)[1] > 1.0
    moments = [
        a for name, a in tree_flatten(trainer.learner.optimizer.state) if name.endswith(".m")
    ]
    length = math.sqrt(sum(mx.square(array).sum().item() for array in moments))
    clipped = trainer.learner.recipe.optimizer.grad_clip
    assert length == pytest.approx((1 - trainer.learner.optimizer.betas[0]) * clipped, rel=1e-3)
    assert trainer.learner.optimizer.learning_rate.item() == pytest.approx(1e-3)


def test_every_micro_step_draws_episodes_of_its_own(trainer: Trainer) -> None:
    trainer.state.step = 4
    drawn = [batch.tokens[:, :2].tolist() for batch in loop.draw(trainer.learner)]
    assert drawn == [[[4, micro_step]] * 2 for micro_step in range(3)]


@pytest.mark.parametrize("broken", [math.inf, math.nan])
def test_a_gradient_that_is_not_finite_is_refused_though_the_loss_is(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, broken: float
) -> None:
    before = [mx.array(array) for _, array in tree_flatten(trainer.learner.model.parameters())]
    with pytest.raises(RunError) as caught:
        differentiated(trainer, monkeypatch, lambda *_: broken)
    assert f"step 1: loss 0.5, gradient norm {broken}" in caught.value.message
    assert "task 7, task 8, task 9" in caught.value.message
    after = [array for _, array in tree_flatten(trainer.learner.model.parameters())]
    assert all(mx.array_equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("broken", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_is_refused_though_the_gradient_is(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, broken: float
) -> None:
    with pytest.raises(RunError, match=f"step 1: loss {broken}, gradient norm 0.0"):
        differentiated(trainer, monkeypatch, lambda *_: 0.0, broken)


def test_nothing_left_to_learn_is_no_error(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert differentiated(trainer, monkeypatch, lambda *_: 0.0, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize("stored", [mx.float16, mx.float32])
def test_only_where_numbers_are_float16_is_their_range_a_remedy(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, stored: mx.Dtype
) -> None:
    trainer.learner.model.set_dtype(stored)
    with pytest.raises(RunError) as caught:
        differentiated(trainer, monkeypatch, lambda *_: math.inf)
    assert "lower optimizer.learning_rate" in caught.value.hint
    assert ("float16 end at 65504" in caught.value.hint) == (stored == mx.float16)


def test_a_step_that_is_left_leaves_the_model_as_it_was(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Differentiating puts other arrays into the model for a while."""
    model = trainer.learner.model
    before = tree_flatten(model.trainable_parameters())

    def leave(*_: Any) -> None:
        model.update(tree_map(lambda array: array + 1, model.trainable_parameters()))
        raise StepLeft

    with pytest.raises(StepLeft):
        differentiated(trainer, monkeypatch, leave)
    after = dict(tree_flatten(model.trainable_parameters()))
    assert all(mx.array_equal(array, after[name]) for name, array in before)


def test_the_way_in_chunks_is_tried_once_and_what_is_amiss_is_told_once(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, taken = [], []
    monkeypatch.setattr(loop, "check_exactness", lambda *_: tried.append(1) or "nearly right")
    last_in_chunks = lambda batch: Dials(64, 1) if batch.tokens[0, 1] == 2 else None  # noqa: E731
    plan(trainer, last_in_chunks)
    for _ in range(2):
        differentiated(trainer, monkeypatch, lambda dials, _: taken.append(dials))
    assert taken == [None, None, Dials(64, 1)] * 2
    assert len(tried) == 1
    warnings = [event for event in trainer.run.events() if event["kind"] == "warning"]
    assert [(event["message"], event["hint"]) for event in warnings] == [("nearly right", "")]


def test_what_is_never_taken_in_chunks_is_not_tried_in_chunks(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "check_exactness", lambda *_: pytest.fail("tried"))
    plan(trainer, lambda batch: None)
    differentiated(trainer, monkeypatch, lambda *_: None)
    assert not trainer.learner.chunks_tried


def test_progress_counts_over_all_batches_is_shown_each_second_and_seldom_written(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, told = 100.0, []
    monkeypatch.setattr("time.monotonic", lambda: now)
    trainer.on_event = told.append

    def work(_: Any, progress: Any) -> None:
        nonlocal now
        for done in (1, 2, 3, 4):
            now += 0.6
            progress(done, 4, "forward")

    differentiated(trainer, monkeypatch, work)
    assert [(event["done"], event["total"]) for event in told] == [
        (done, 12) for done in (2, 4, 6, 8, 10, 12)
    ]
    assert {(event["step"], event["phase"]) for event in told} == {(1, "forward")}
    written = [event["done"] for event in trainer.run.events() if event["kind"] == "progress"]
    assert written == [2]  # all of it took six seconds


def test_dropout_is_a_function_of_seed_and_step(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draws(seed: int, step: int) -> list[float]:
        trainer.learner.recipe, trainer.state.step = recipe(f"seed={seed}"), step
        numbers: list[float] = []
        differentiated(trainer, monkeypatch, lambda *_: numbers.append(mx.random.uniform().item()))
        return numbers

    once = draws(0, 5)
    assert len(set(once)) == 3
    mx.random.uniform()
    assert draws(0, 5) == once
    assert draws(0, 6) != once and draws(1, 5) != once
