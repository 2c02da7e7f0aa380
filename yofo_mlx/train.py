"""The training loop, from a fresh adapter to the best one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_map

from yofo_mlx.adapters import adapter_weights, add_adapter
from yofo_mlx.batches import Batch, make_batch
from yofo_mlx.checkpoints import (
    TrainerState,
    keep_best,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from yofo_mlx.errors import RunError
from yofo_mlx.evaluate import Measure, evaluate_entry, mean_by_shots
from yofo_mlx.events import Event, EventWriter
from yofo_mlx.exactness import check_exactness
from yofo_mlx.longcontext import Dials, Progress, loss_and_gradients
from yofo_mlx.models import Base
from yofo_mlx.plan import Planner, describe_plan
from yofo_mlx.recipe import Recipe, Training
from yofo_mlx.runs import Run
from yofo_mlx.schedule import learning_rate
from yofo_mlx.workload import Workload

Listener = Callable[[Event], None]


PROGRESS_EVERY_S = 1.0


class StepLeft(Exception):
    """A step was left before it changed anything."""


@dataclass
class Trainer:
    """What a step needs; the state that changes is in `state`, the model and the optimizer."""

    run: Run
    recipe: Recipe
    base: Base
    workload: Workload
    emit: Callable[..., Event]
    should_stop: Callable[[], bool]
    optimizer: Any
    planner: Planner | None
    state: TrainerState
    chunks_tried: bool = False


def train(
    run: Run,
    recipe: Recipe,
    base: Base,
    workload: Workload,
    *,
    should_stop: Callable[[], bool],
    planner: Planner | None = None,
    on_event: Listener = lambda event: None,
) -> Event:
    """Train until the end, a stop or an error; continue from the newest checkpoint if there is one.

    Without a planner every step is taken by plain autograd.
    Returns the last event: finished or stopped. A failure is written as an event and raised.
    """
    writer = EventWriter(run.events_path)

    def emit(kind: str, **fields: Any) -> Event:
        event = writer.write(kind, **fields)
        on_event(event)
        return event

    trainer = Trainer(
        run, recipe, base, workload, emit, should_stop, _optimizer(recipe), planner, TrainerState()
    )
    cache_limit = mx.set_cache_limit(0)  # MLX tells its limit only when that is changed
    mx.set_cache_limit(cache_limit)
    try:
        _prepare(trainer)
        return _loop(trainer)
    except BaseException as error:
        message, hint = _explain(error, trainer)
        emit("failed", step=trainer.state.step, message=message, hint=hint)
        raise
    finally:
        mx.set_cache_limit(cache_limit)
        writer.close()


def _optimizer(recipe: Recipe) -> optim.Optimizer:
    settings = recipe.optimizer
    return optim.AdamW(
        learning_rate=0.0,
        betas=list(settings.betas),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        bias_correction=True,
    )


def _prepare(trainer: Trainer) -> None:
    """Put a fresh adapter on the model, or everything a checkpoint holds."""
    recipe, model = trainer.recipe, trainer.base.model
    mx.random.seed(recipe.seed)
    add_adapter(model, recipe.lora)
    trainer.optimizer.init(model.trainable_parameters())
    trainer.emit(
        "started",
        run_id=trainer.run.run_id,
        model=recipe.model,
        steps=recipe.train.steps,
        tokens=recipe.train.tokens,
        train_tasks=len(trainer.workload.pools),
        held_out_tasks=len(trainer.workload.held_out),
        trainable_parameters=sum(array.size for array in adapter_weights(model).values()),
    )
    for message, hint in trainer.workload.warnings(recipe):
        trainer.emit("warning", message=message, hint=hint)
    _plan(trainer)
    if checkpoints := list_checkpoints(trainer.run):
        trainer.state = load_checkpoint(checkpoints[0], model, trainer.optimizer)


def _plan(trainer: Trainer) -> None:
    """Tell how the longest step will be taken; one in chunks is tried first on a short episode."""
    recipe, context = trainer.recipe, trainer.base.context
    if context and recipe.episodes.max_tokens > context:
        trainer.emit(
            "warning",
            message=f"episodes may have {recipe.episodes.max_tokens} tokens;"
            f" the model was trained on at most {context}",
            hint=f"it may not use what is further back: set episodes.max_tokens = {context}",
        )
    if trainer.planner:
        way = trainer.planner.longest_step(recipe)
        trainer.emit("plan", **describe_plan(trainer.planner, way))
        mx.set_cache_limit(trainer.planner.cache_bytes(way))


def _dials(trainer: Trainer, batches: list[Batch]) -> list[Dials | None]:
    """Return how each batch is differentiated; before the first one in chunks, try that."""
    if not trainer.planner:
        return [None] * len(batches)
    dials = [trainer.planner.dials(batch) for batch in batches]
    if any(dials) and not trainer.chunks_tried:
        trainer.chunks_tried = True
        if warning := check_exactness(trainer.base.model, trainer.base.config, trainer.recipe.lora):
            trainer.emit("warning", message=warning, hint="")
    return dials


def _loop(trainer: Trainer) -> Event:
    recipe, state = trainer.recipe, trainer.state
    stopping = False

    while not (stopping := trainer.should_stop()):
        if _validation_due(trainer):
            _validate(trainer)
            continue
        if _is_over(trainer):
            break

        # ------------------------------------------------------------ one update
        started = time.perf_counter()
        mx.reset_peak_memory()
        batches = _draw(trainer)
        rate = learning_rate(recipe.optimizer, _share(recipe.train, state, ahead=batches))
        try:
            loss, norm = _update(trainer, batches, rate)
        except StepLeft:
            stopping = True
            break
        state.step += 1
        state.tokens += sum(batch.token_count for batch in batches)
        seconds = time.perf_counter() - started
        state.seconds += seconds
        # ------------------------------------------------------------------------

        _report(trainer, batches, loss, norm, rate, seconds)
        if _due(recipe.train.checkpoint_every, state.step):
            _checkpoint(trainer)

    if not (trainer.run.checkpoints_path / f"{state.step:07d}").exists():
        _checkpoint(trainer)
    if state.best_loss is None:  # nothing was validated: the latest is the best
        keep_best(trainer.run, trainer.base.model, recipe)
    if stopping and (_validation_due(trainer) or not _is_over(trainer)):
        return trainer.emit("stopped", step=state.step, reason="asked to stop")
    return trainer.emit(
        "finished", step=state.step, best_step=state.best_step, seconds=round(state.seconds, 3)
    )


def _is_over(trainer: Trainer) -> bool:
    settings, state = trainer.recipe.train, trainer.state
    patient = settings.patience is None or state.bad_evals < settings.patience
    return _share(settings, state) >= 1.0 or not patient


def _validation_due(trainer: Trainer) -> bool:
    """Tell whether this step is to be validated and was not yet, also after a resume."""
    settings, state = trainer.recipe.train, trainer.state
    due = _due(settings.eval_every, state.step) or _share(settings, state) >= 1.0
    return due and state.validated_step < state.step


def _draw(trainer: Trainer) -> list[Batch]:
    settings = trainer.recipe.train
    return [
        make_batch(
            trainer.workload.sampler.draw(trainer.state.step, micro_step, settings.batch_size),
            trainer.recipe.objective,
        )
        for micro_step in range(settings.grad_accumulation_steps)
    ]


def _gradients(trainer: Trainer, batches: list[Batch]) -> tuple[mx.array, Any]:
    """Return the loss and gradients of all batches, summed; nothing else is changed.

    A second Ctrl-C leaves the step here, and the model as it was.
    """
    model = trainer.base.model
    dials = _dials(trainer, batches)
    model.train()
    # Dropout depends on the step alone, so that a resumed run needs no random state.
    words = np.random.SeedSequence([trainer.recipe.seed, trainer.state.step]).generate_state(1)
    mx.random.seed(int(words[0]))
    before = model.trainable_parameters()
    total, gradients = mx.array(0.0), None
    try:
        for place, batch in enumerate(batches):
            progress = _progress(trainer, place, len(batches))
            more, added = loss_and_gradients(model, batch, dials[place], progress)
            total = total + more
            gradients = added if gradients is None else tree_map(mx.add, gradients, added)
            mx.eval(total, gradients)
    except KeyboardInterrupt as error:
        model.update(before)
        raise StepLeft from error
    return total, gradients


def _progress(trainer: Trainer, place: int, batches: int) -> Progress:
    """Return what tells of the pieces of a step, about once a second."""
    told = time.monotonic()

    def progress(done: int, total: int, phase: str) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_EVERY_S:
            told = time.monotonic()
            done, total = done + place * total, total * batches
            trainer.emit(
                "progress", step=trainer.state.step + 1, done=done, total=total, phase=phase
            )

    return progress


def _update(trainer: Trainer, batches: list[Batch], rate: float) -> tuple[float, float]:
    """Make one optimizer update; return its loss and the gradient's norm."""
    model, optimizer = trainer.base.model, trainer.optimizer
    total, gradients = _gradients(trainer, batches)
    denominator = sum(batch.denominator for batch in batches)
    gradients = tree_map(lambda array: array / denominator, gradients)
    gradients, length = optim.clip_grad_norm(gradients, trainer.recipe.optimizer.grad_clip)
    loss, norm = float(np.array(total)) / denominator, float(np.array(length))
    if not np.isfinite(loss) or not np.isfinite(norm):
        _not_finite(trainer, batches, f"loss {loss}, gradient norm {norm}")
    optimizer.learning_rate = rate
    optimizer.update(model, gradients)
    mx.eval(model.trainable_parameters(), optimizer.state)
    if not all(mx.isfinite(array).all().item() for array in adapter_weights(model).values()):
        _not_finite(trainer, batches, "the updated adapter is not finite")
    return loss, norm


def _not_finite(trainer: Trainer, batches: list[Batch], what: str) -> None:
    tasks = sorted({task for batch in batches for task in batch.tasks})
    checkpoints = list_checkpoints(trainer.run)
    last = f"the last good one is {checkpoints[0]}" if checkpoints else "there is no checkpoint"
    raise RunError(
        f"step {trainer.state.step + 1}: {what}, in an episode of {', '.join(tasks)}",
        f"lower optimizer.learning_rate or lora.scale; {last}",
    )


def _report(
    trainer: Trainer, batches: list[Batch], loss: float, norm: float, rate: float, seconds: float
) -> None:
    state = trainer.state
    tokens = sum(batch.token_count for batch in batches)
    targets = sum(len(batch.targets) for batch in batches)
    share = min(1.0, _share(trainer.recipe.train, state))
    trainer.emit(
        "step",
        step=state.step,
        loss=loss,
        lr=rate,
        grad_norm=norm,
        tokens=tokens,
        targets=targets,
        shots=[shots for batch in batches for shots in batch.shots],
        tokens_per_s=round(tokens / seconds, 1),
        targets_per_s=round(targets / seconds, 1),
        peak_gb=round(mx.get_peak_memory() / 1e9, 4),
        memory_gb=round((mx.get_active_memory() + mx.get_cache_memory()) / 1e9, 4),
        total_tokens=state.tokens,
        share=round(share, 6),
        seconds_left=round(state.seconds * (1 - share) / share, 1),
    )


def _validate(trainer: Trainer) -> None:
    """Measure the adapter by shots on queries of training tasks, and keep it if it is the best."""
    recipe, state, model = trainer.recipe, trainer.state, trainer.base.model
    entries = trainer.workload.valid_entries(recipe.evaluation.valid_tasks)
    model.eval()
    measures: list[Measure] = []
    for done, entry in enumerate(entries):
        if trainer.should_stop():  # a resumed run makes up for it
            return
        trainer.emit("progress", step=state.step, done=done, total=len(entries), phase="validation")
        measures += evaluate_entry(trainer.base, recipe, entry, valid=True)
    state.validated_step = state.step
    if not measures:
        return
    rows = mean_by_shots(measures)
    loss = float(np.mean([row["loss"] for row in rows]))
    is_best = state.best_loss is None or loss < state.best_loss
    if is_best:
        state.best_loss, state.best_step, state.bad_evals = loss, state.step, 0
        keep_best(trainer.run, model, recipe)
    else:
        state.bad_evals += 1
    trainer.emit("eval", step=state.step, loss=loss, by_shots=rows, best=is_best)


def _checkpoint(trainer: Trainer) -> None:
    path = save_checkpoint(
        trainer.run, trainer.base.model, trainer.optimizer, trainer.state, trainer.recipe
    )
    place = str(path.relative_to(trainer.run.path))
    trainer.emit("checkpoint", step=trainer.state.step, path=place)


def _share(settings: Training, state: TrainerState, ahead: list[Batch] | None = None) -> float:
    """Return the share of the run that is done; with `ahead`, after that update."""
    if settings.steps is not None:
        return (state.step + (ahead is not None)) / settings.steps
    assert settings.tokens is not None
    return (state.tokens + sum(batch.token_count for batch in ahead or [])) / settings.tokens


def _due(every: int | None, step: int) -> bool:
    return every is not None and step % every == 0


def _explain(error: BaseException, trainer: Trainer) -> tuple[str, str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted twice: stopped without finishing the step", "resume from the checkpoint"
    message = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
    return message, getattr(error, "hint", "")
