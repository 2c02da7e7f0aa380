"""The training loop, from a fresh adapter to the best one."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.evaluation.measure import evaluate_entry
from yofo_mlx.evaluation.scores import TaskScores, of_model, summarize
from yofo_mlx.models.adapters import adapter_weights, add_adapter, begin_with
from yofo_mlx.models.base import Base
from yofo_mlx.planning.evaluation import (
    Asked,
    as_planned,
    most_asked,
    plan_validation,
    shortening,
    with_validation,
)
from yofo_mlx.planning.planner import Planner, beyond_context, describe_plan
from yofo_mlx.planning.workload import Workload
from yofo_mlx.recipe.schema import Recipe, Training
from yofo_mlx.runs.events import Event, EventWriter
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.init_adapter import check_same
from yofo_mlx.runs.kinds import (
    CheckpointEvent,
    EvalEvent,
    FinishedEvent,
    ProgressEvent,
    ShotsRow,
    StartedEvent,
    StepEvent,
    StoppedEvent,
    WarningEvent,
)
from yofo_mlx.system.peak import peak, reset_peak
from yofo_mlx.training.beginning import doubts
from yofo_mlx.training.checkpoints import (
    TrainerState,
    keep_best,
    resume_newest,
    save_checkpoint,
)
from yofo_mlx.training.extension import as_event, was_end
from yofo_mlx.training.schedule import learning_rate
from yofo_mlx.training.telling import fail
from yofo_mlx.training.trainer import Listener, Trainer
from yofo_mlx.training.update import StepLeft, draw, update


def train(
    run: Run,
    recipe: Recipe,
    base: Base,
    workload: Workload,
    *,
    should_stop: Callable[[], bool],
    should_leave: Callable[[], bool] = lambda: False,
    planner: Planner | None = None,
    on_event: Listener = lambda event: None,
    warnings: Sequence[tuple[str, str]] = (),
) -> Event:
    """Train until the end, a stop or an error; continue from the newest checkpoint if there is one.

    `should_stop` is asked between steps and in a validation, `should_leave` between the pieces of a
    step. Without a planner every step is taken by plain autograd. `warnings` (message and hint) are
    told in the event stream.
    Returns the last event: finished or stopped. A failure is written as an event and raised.
    """
    writer = EventWriter(run.events_path)
    optimizer, state = _optimizer(recipe), TrainerState()
    trainer = Trainer(
        run,
        recipe,
        base,
        workload,
        writer,
        on_event,
        should_stop,
        should_leave,
        optimizer,
        planner,
        state,
    )
    cache_limit = mx.set_cache_limit(0)  # MLX tells its limit only when that is changed
    mx.set_cache_limit(cache_limit)
    try:
        _prepare(trainer, warnings)
        return _loop(trainer)
    except BaseException as error:
        fail(run, error, trainer.state.step, trainer.emit)
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


def _prepare(trainer: Trainer, warnings: Sequence[tuple[str, str]]) -> None:
    """Put a fresh adapter on the model, or a given one, or everything a checkpoint holds."""
    recipe, model = trainer.recipe, trainer.base.model
    mx.random.seed(recipe.seed)
    add_adapter(model, recipe.lora)
    trainer.optimizer.init(model.trainable_parameters())
    state, unreadable = resume_newest(trainer.run, model, trainer.optimizer)
    notes = [(message, "the checkpoint before it is used") for message in unreadable] + [*warnings]
    if state is not None:
        trainer.state, trainer.saved = state, replace(state)
    elif recipe.init_adapter:
        check_same(trainer.run.info(), recipe)
        begin_with(model, Path(recipe.init_adapter))
    began = any(event["kind"] == "started" for event in trainer.run.events())
    resumed = trainer.writer.roll_back(trainer.state.events_bytes, trainer.state.step)
    if resumed:
        trainer.on_event(resumed)
    if state is None or not began:
        _begin(trainer)
    elif _due(recipe.train.checkpoint_every, state.step):
        _tell_checkpoint(trainer)
    if state is not None and not began:
        notes.append((f"the events before step {state.step} are lost", ""))
    _extend(trainer)
    for message, hint in notes:
        trainer.emit(WarningEvent(message=message, hint=hint))
    _plan(trainer)


def _begin(trainer: Trainer) -> None:
    """Say what is trained."""
    recipe, workload = trainer.recipe, trainer.workload
    trainer.emit(
        StartedEvent(
            run_id=trainer.run.run_id,
            model=recipe.model,
            steps=recipe.train.steps,
            tokens=recipe.train.tokens,
            train_tasks=len(workload.pools),
            held_out_tasks=len(workload.held_out),
            init_adapter=recipe.init_adapter,
            trainable_parameters=sum(a.size for a in adapter_weights(trainer.base.model).values()),
        )
    )
    beyond = beyond_context(recipe.episodes.max_tokens, trainer.base.context)
    beyond_it = [beyond] if beyond else []
    for message, hint in [*doubts(recipe), *workload.warnings(recipe), *beyond_it]:
        trainer.warn(message, hint)


def _extend(trainer: Trainer) -> None:
    """Take in every change of the run's length, and tell each one once."""
    trainer.extended = trainer.run.info().extended
    told = sum(event["kind"] == "extended" for event in trainer.run.events())
    for change in trainer.extended[told:]:
        share = round(_share(trainer.recipe.train, trainer.state), 6)
        trainer.emit(as_event(change, share))
    _renew_patience(trainer)


def _plan(trainer: Trainer) -> None:
    """Tell how the longest step will be taken, unless that was told before a resume."""
    if not trainer.planner:
        return
    way = trainer.planner.longest_step(trainer.recipe)
    plan = describe_plan(trainer.planner, way)
    if asked := _asked(trainer):
        trainer.validation = plan_validation(trainer.planner, asked)
        plan = with_validation(plan, trainer.validation)
        if warning := shortening(trainer.validation):
            trainer.warn(*warning)
    told = [event for event in trainer.run.events() if event["kind"] == "plan"]
    if not told or plan.as_dict().items() - told[-1].items():
        trainer.emit(plan)
    mx.set_cache_limit(trainer.planner.cache_bytes(way))


def _asked(trainer: Trainer) -> Asked | None:
    entries = trainer.workload.valid_entries(trainer.recipe.evaluation.valid_tasks)
    return most_asked(trainer.recipe, entries, trainer.base.tokenizer, valid=True)


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
        reset_peak()
        batches = draw(trainer)
        rate = learning_rate(recipe.optimizer, _share(recipe.train, state, ahead=batches))
        try:
            loss, norm = update(trainer, batches, rate)
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

    stopped = stopping and (_validation_due(trainer) or not _is_over(trainer))
    if not _due(recipe.train.checkpoint_every, state.step):
        _checkpoint(trainer)
    if state.best_loss is None:  # nothing was validated: the latest is the best
        keep_best(trainer.run, trainer.base.model, recipe)
        if state.bad_evals:
            trainer.warn("no validation gave a number: the last adapter is kept", "")
    if stopped:
        return trainer.emit(StoppedEvent(step=state.step, reason="asked to stop"))
    total = round(state.seconds, 3)
    return trainer.emit(FinishedEvent(step=state.step, best_step=state.best_step, seconds=total))


def _is_over(trainer: Trainer) -> bool:
    return _share(trainer.recipe.train, trainer.state) >= 1.0 or _is_impatient(trainer)


def _is_impatient(trainer: Trainer) -> bool:
    patience = trainer.recipe.train.patience
    return patience is not None and trainer.state.bad_evals >= patience


def _renew_patience(trainer: Trainer) -> None:
    """Let a run go on that its patience had ended, where it was given another length."""
    here = any(change.step == trainer.state.step for change in trainer.extended)
    if here and _is_impatient(trainer):
        trainer.state.bad_evals = 0


def _validation_due(trainer: Trainer) -> bool:
    """Tell whether this step is to be validated and was not yet, also after a resume."""
    settings, state = trainer.recipe.train, trainer.state
    due = _due(settings.eval_every, state.step) or _share(settings, state) >= 1.0
    due = due or any(was_end(change, state) for change in trainer.extended)
    return due and state.validated_step < state.step


def _report(
    trainer: Trainer, batches: list[Batch], loss: float, norm: float, rate: float, seconds: float
) -> None:
    state = trainer.state
    tokens = sum(batch.token_count for batch in batches)
    targets = sum(len(batch.targets) for batch in batches)
    share = min(1.0, _share(trainer.recipe.train, state))
    trainer.emit(
        StepEvent(
            step=state.step,
            loss=loss,
            lr=rate,
            grad_norm=norm,
            tokens=tokens,
            targets=targets,
            shots=[shots for batch in batches for shots in batch.shots],
            tokens_per_s=round(tokens / seconds, 1),
            targets_per_s=round(targets / seconds, 1),
            peak_gb=round(peak() / 1e9, 4),
            memory_gb=round((mx.get_active_memory() + mx.get_cache_memory()) / 1e9, 4),
            total_tokens=state.tokens,
            share=round(share, 6),
            seconds_left=round(state.seconds * (1 - share) / share, 1),
        )
    )


def _validate(trainer: Trainer) -> None:
    """Measure the adapter by shots on queries of training tasks, and keep it if it is the best."""
    planned, state, model = trainer.validation, trainer.state, trainer.base.model
    recipe = as_planned(trainer.recipe, planned)
    entries = trainer.workload.valid_entries(recipe.evaluation.valid_tasks)
    mx.clear_cache()  # what steps have freed is of other sizes than what this needs
    reset_peak()
    model.eval()
    scores: list[TaskScores] = []
    try:
        for done, entry in enumerate(entries):
            total, phase = len(entries), "validation"
            trainer.emit(ProgressEvent(step=state.step, done=done, total=total, phase=phase))
            check = partial(_leave_if_asked, trainer)
            copies = planned.copies if planned else None
            scores.append(
                evaluate_entry(trainer.base, recipe, entry, valid=True, check=check, at_once=copies)
            )
    except StepLeft:  # a resumed run makes up for it
        return
    state.validated_step = state.step
    losses = [np.mean([point.loss for point in one.points]) for one in scores if one.points]
    if not losses:  # told when the run began
        return
    loss = float(np.mean(losses))  # every task weighs the same
    is_best = math.isfinite(loss) and (state.best_loss is None or loss < state.best_loss)
    if is_best:
        state.best_loss, state.best_step, state.bad_evals = loss, state.step, 0
        keep_best(trainer.run, model, trainer.recipe)
    else:
        state.bad_evals += 1
        _renew_patience(trainer)
    rows = [
        ShotsRow(metric=one["metric"], tasks=one["tasks"], of=one["of"], **row)
        for one in summarize(of_model(scores))
        for row in one["by_shots"]
    ]
    peak_gb = round(peak() / 1e9, 4)
    trainer.emit(
        EvalEvent(step=state.step, loss=loss, by_shots=rows, best=is_best, peak_gb=peak_gb)
    )
    if not math.isfinite(loss):
        trainer.warn(
            f"step {state.step}: the validation loss is {loss}, so this adapter is not the best",
            "lower optimizer.learning_rate, or look for what overflows: yofo doctor",
        )


def _leave_if_asked(trainer: Trainer) -> None:
    if trainer.should_stop():
        raise StepLeft


def _checkpoint(trainer: Trainer) -> None:
    """Save where the run stands, unless that was where it was resumed."""
    state = trainer.state
    if (
        trainer.saved is None
        or replace(state, events_bytes=trainer.saved.events_bytes) != trainer.saved
    ):
        trainer.writer.sync()
        state.events_bytes = trainer.writer.position
        save_checkpoint(trainer.run, trainer.base.model, trainer.optimizer, state, trainer.recipe)
        trainer.saved = replace(state)
    _tell_checkpoint(trainer)


def _tell_checkpoint(trainer: Trainer) -> None:
    path = trainer.run.checkpoint_path(trainer.state.step)
    place = str(path.relative_to(trainer.run.path))
    trainer.emit(CheckpointEvent(step=trainer.state.step, path=place))


def _share(settings: Training, state: TrainerState, ahead: list[Batch] | None = None) -> float:
    """Return the share of the run that is done; with `ahead`, after that update."""
    if settings.steps is not None:
        return (state.step + (ahead is not None)) / settings.steps
    assert settings.tokens is not None
    return (state.tokens + sum(batch.token_count for batch in ahead or [])) / settings.tokens


def _due(every: int | None, step: int) -> bool:
    return every is not None and step > 0 and step % every == 0
