"""The method, from a recipe to a gradient step: many-shot in-context fine-tuning, on this page.

A recipe names tasks, a task is examples (x, y). An **episode** shows one task in one sequence,

    instruction?  x_1 y_1  x_2 y_2  ...  x_n y_n

with n and the order drawn anew each time (`episodes/sampler.py`). The model reads it once, from
left to right: at y_i it has seen i - 1 demonstrations. So with every answer a target one pass
trains 0-shot to (n - 1)-shot behaviour, at the cost of reading the episode once; with the last
answer alone, as in earlier work, that takes n episodes.

The **loss** of an update is this number, in nats. An answer is the span of its tokens, terminator
included: the model has to learn to stop.

    def loss(episodes, targets="all", normalize="answer"):
        total = denominator = 0
        for tokens, answers in episodes:
            log_p = log_softmax(model(tokens))                    # (L, V): row t predicts t + 1
            everything = [range(1, len(tokens))]
            for places in {"all": answers, "last": answers[-1:], "tokens": everything}[targets]:
                nll = [-log_p[t - 1, tokens[t]] for t in places]
                total += mean(nll) if normalize == "answer" else sum(nll)
                denominator += 1 if normalize == "answer" else len(nll)
        return total / denominator

By `normalize = "answer"` each answer weighs the same: one summary must not outweigh 500 labels.
Passes of an update add up `total` and `denominator` and divide once: a mean of means would let an
answer weigh more in a pass that has few of them. `tests/gradients/test_objective.py` runs the lines
above and holds `gradients/` to them: loss and gradient, plain and in chunks.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_map

from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.gradients import Dials, loss_and_gradients
from yofo_mlx.gradients.exactness import check_exactness
from yofo_mlx.models.adapters import adapter_weights
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.events import Event, EventWriter
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.kinds import FinishedEvent
from yofo_mlx.runs.trained import Note
from yofo_mlx.system.peak import aside, reset_peak
from yofo_mlx.training.checkpoints import keep_best
from yofo_mlx.training.memory_watch import watch_over
from yofo_mlx.training.ranks import StepLeft
from yofo_mlx.training.reports import Step, report, save
from yofo_mlx.training.resuming import prepare
from yofo_mlx.training.schedule import is_due, learning_rate, share_done
from yofo_mlx.training.setup import Setup
from yofo_mlx.training.telling import fail
from yofo_mlx.training.trainer import Learner, Listener, NotFinite, Onlooker, Trainer
from yofo_mlx.training.validation import is_over, validate, validation_due


def train(
    run: Run,
    recipe: Recipe,
    setup: Setup,
    *,
    should_stop: Callable[[], bool],
    should_leave: Callable[[], bool] = lambda: False,
    on_event: Listener = lambda event: None,
    warnings: Sequence[Note] = (),
) -> Event:
    """Train until the end, a stop or an error; continue from the newest checkpoint if there is one.

    `should_stop` is asked between steps and in a validation, `should_leave` between the pieces of a
    step. `warnings` are told in the event stream.
    Returns the last event: finished or stopped. A failure is written as an event and raised.
    """
    writer, learner = EventWriter(run.events_path), Learner(recipe, setup)
    watch = watch_over(setup.planner, recipe)
    stop, leave = watch.beside(should_stop), watch.beside(should_leave)
    trainer = Trainer(run, learner, writer, on_event, stop, leave, watch)
    cache_limit = mx.set_cache_limit(0)  # MLX tells its limit only when that is changed
    mx.set_cache_limit(cache_limit)
    try:
        prepare(trainer, warnings)
        learner.share_state()
        return _loop(trainer)
    except BaseException as error:
        fail(run, error, trainer.state.step, trainer.emit)
    finally:
        mx.set_cache_limit(cache_limit)
        writer.close()


def _loop(trainer: Trainer) -> Event:
    learner, state = trainer.learner, trainer.state
    save_every = learner.recipe.train.checkpoint_every
    stopping = False

    while not (stopping := trainer.should_stop()):
        # First in line, so that a run that was stopped in a validation begins with it again.
        if validation_due(trainer):
            validate(trainer)
            continue
        if is_over(learner):
            break
        learner.ranks.begin_step()
        try:
            step = advance(learner, trainer)
        except StepLeft:
            stopping = True
            break
        report(trainer, step)
        if is_due(save_every, state.step):
            save(trainer)

    learner.ranks.dismiss()
    stopped = stopping and (validation_due(trainer) or not is_over(learner))
    if not is_due(save_every, state.step):
        save(trainer)
    # The adapter of the run is the best that was validated.
    if state.best_loss is None:  # nothing was validated: the latest is the best
        keep_best(trainer.run, learner.model, learner.recipe)
        if state.bad_evals:
            trainer.warn("no validation gave a number: the last adapter is kept", "")
    if stopped:
        return trainer.emit(trainer.stopped())
    total = round(state.seconds, 3)
    return trainer.emit(FinishedEvent(step=state.step, best_step=state.best_step, seconds=total))


# ---------------------------------------------------------------------------------- one step


def advance(learner: Learner, onlooker: Onlooker | None = None) -> Step:
    """Take one step; it needs no run folder. If it is left, nothing has changed."""
    recipe, state = learner.recipe, learner.state
    started = time.perf_counter()
    reset_peak()
    batches = draw(learner)
    tokens = state.tokens + sum(batch.token_count for batch in batches)
    # The rate of where the step leads: the first one is not wasted on a rate of 0.
    rate = learning_rate(recipe.optimizer, share_done(recipe.train, state.step + 1, tokens))
    loss, norm = update(learner, batches, rate, onlooker or Onlooker())
    state.step, state.tokens = state.step + 1, tokens
    seconds = time.perf_counter() - started
    state.seconds += seconds
    return Step(batches, loss, norm, rate, seconds)


def draw(learner: Learner) -> list[Batch]:
    """Return the batches of the next step, each a function of the seed, the step and its place."""
    sampler, settings = learner.setup.workload.sampler, learner.recipe.train
    passes = draw_passes(sampler, settings, learner.state.step)
    objective, packed = learner.recipe.objective, settings.packed
    return [make_batch(episodes, objective, packed=packed) for episodes in passes]


def update(
    learner: Learner, batches: list[Batch], rate: float, onlooker: Onlooker
) -> tuple[float, float]:
    """Make one optimizer update; return its loss and the gradient's norm."""
    model, optimizer = learner.model, learner.optimizer
    total, gradients = _summed(learner, batches, onlooker)
    denominator = sum(batch.denominator for batch in batches)
    gradients = tree_map(lambda array: array / denominator, gradients)  # once, for all passes
    gradients, length = optim.clip_grad_norm(gradients, learner.recipe.optimizer.grad_clip)
    loss, norm = float(np.array(total)) / denominator, float(np.array(length))
    if not np.isfinite(loss) or not np.isfinite(norm):  # before it spoils the adapter
        raise _not_finite(learner, batches, f"loss {loss}, gradient norm {norm}")
    optimizer.learning_rate = rate
    optimizer.update(model, gradients)
    mx.eval(model.trainable_parameters(), optimizer.state)
    # A finite gradient can still overflow half precision: such an adapter is never saved.
    if not all(mx.isfinite(array).all().item() for array in adapter_weights(model).values()):
        raise _not_finite(learner, batches, "the updated adapter is not finite")
    return loss, norm


def _summed(
    learner: Learner, batches: list[Batch], onlooker: Onlooker
) -> tuple[mx.array, dict[str, Any]]:
    """Return the loss and gradients of all batches, summed; nothing else is changed.

    Every rank takes its share of them. Who is in a hurry leaves the step here, between its pieces,
    and the model as it was.
    """
    model, ranks = learner.model, learner.ranks
    dials = _dials(learner, batches, onlooker)
    model.train()
    before = model.trainable_parameters()
    total, gradients = mx.array(0.0), None
    share = ranks.share(batches)
    try:
        for done, (place, batch) in enumerate(share):
            progress = onlooker.begin_pass(done, len(share))
            # Dropout depends on step and pass alone: no state to resume, nor whose pass it is.
            words = np.random.SeedSequence([learner.recipe.seed, learner.state.step, place])
            mx.random.seed(int(words.generate_state(1)[0]))
            more, added = loss_and_gradients(model, batch, dials[place], progress)
            total = total + more
            gradients = added if gradients is None else tree_map(mx.add, gradients, added)
            # One pass's activations at a time, and no gradients beside their sum.
            mx.eval(total, gradients)
            del added
    except StepLeft:
        model.update(before)
        ranks.leave(before)
        raise
    return ranks.summed(total, gradients, before)


def _dials(learner: Learner, batches: list[Batch], onlooker: Onlooker) -> list[Dials | None]:
    """Return how each batch is differentiated; before the first one in chunks, try that."""
    base, planner = learner.setup.base, learner.setup.planner
    if not planner:
        return [None] * len(batches)
    dials = [planner.dials(batch) for batch in batches]
    if any(dials) and not learner.chunks_tried:
        learner.chunks_tried = True
        # On the very model and machine: an architecture that nobody tried would train wrongly.
        with aside():
            warning = check_exactness(base.model, base.config, learner.recipe.lora)
        if warning:
            onlooker.warn(warning, "")
    return dials


def _not_finite(learner: Learner, batches: list[Batch], what: str) -> NotFinite:
    tasks = sorted({task for batch in batches for task in batch.tasks})
    remedy = "lower optimizer.learning_rate or lora.scale"
    weights: Any = tree_flatten(learner.model.parameters())
    if any(array.dtype == mx.float16 for _, array in weights):
        remedy += ', or set dtype = "bfloat16": numbers of float16 end at 65504'
    message = f"step {learner.state.step + 1}: {what}, in an episode of {', '.join(tasks)}"
    return NotFinite(message, remedy)
