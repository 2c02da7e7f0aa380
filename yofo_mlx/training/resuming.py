"""What a run does before its first step: it begins, or stands again where it stood."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mlx.core as mx

from yofo_mlx.models.adapters import adapter_weights, begin_with
from yofo_mlx.planning.evaluation import shortening, with_validation
from yofo_mlx.planning.planner import beyond_context, describe_plan
from yofo_mlx.runs.init_adapter import check_same
from yofo_mlx.runs.kinds import StartedEvent, WarningEvent
from yofo_mlx.runs.trained import Note
from yofo_mlx.system.wired import keep_below
from yofo_mlx.training import validation
from yofo_mlx.training.beginning import doubts
from yofo_mlx.training.checkpoints import resume_newest
from yofo_mlx.training.extension import as_event
from yofo_mlx.training.reports import tell_checkpoint
from yofo_mlx.training.schedule import is_due
from yofo_mlx.training.trainer import Trainer


def prepare(trainer: Trainer, warnings: Sequence[Note]) -> None:
    """Put a fresh adapter on the model, or a given one, or everything a checkpoint holds."""
    learner, recipe = trainer.learner, trainer.learner.recipe
    learner.begin()
    state, unreadable = resume_newest(trainer.run, learner.model, learner.optimizer)
    notes = [(message, "the checkpoint before it is used") for message in unreadable] + [*warnings]
    if state is not None:
        learner.state, trainer.saved = state, replace(state)
    elif recipe.init_adapter:
        check_same(trainer.run.info(), recipe)
        begin_with(learner.model, Path(recipe.init_adapter))
    began = any(event["kind"] == "started" for event in trainer.run.events())
    # Steps after the checkpoint happen again: what was told of them is taken back first.
    resumed = trainer.writer.roll_back(trainer.state.events_bytes, trainer.state.step)
    if resumed:
        trainer.on_event(resumed)
    if state is None or not began:
        _begin(trainer)
    elif is_due(recipe.train.checkpoint_every, state.step):
        tell_checkpoint(trainer)  # its event came after the checkpoint, so it was taken back
    if state is not None and not began:
        notes.append((f"the events before step {state.step} are lost", ""))
    _extend(trainer)
    for message, hint in notes:
        trainer.emit(WarningEvent(message=message, hint=hint))
    _plan(trainer)


def _begin(trainer: Trainer) -> None:
    """Say what is trained."""
    recipe, setup = trainer.learner.recipe, trainer.learner.setup
    workload = setup.workload
    trainer.emit(
        StartedEvent(
            run_id=trainer.run.run_id,
            model=recipe.model,
            steps=recipe.train.steps,
            tokens=recipe.train.tokens,
            train_tasks=len(workload.pools),
            held_out_tasks=len(workload.held_out),
            init_adapter=recipe.init_adapter,
            trainable_parameters=sum(a.size for a in adapter_weights(setup.base.model).values()),
        )
    )
    beyond = beyond_context(recipe.episodes.max_tokens, setup.base.context)
    beyond_it = [beyond] if beyond else []
    doubted = [*trainer.learner.notes, *doubts(recipe)]
    for message, hint in [*doubted, *workload.warnings(recipe), *beyond_it]:
        trainer.warn(message, hint)


def _extend(trainer: Trainer) -> None:
    """Take in every change of the run's length, and tell each one once."""
    trainer.extended = trainer.run.info().extended
    told = sum(event["kind"] == "extended" for event in trainer.run.events())
    for change in trainer.extended[told:]:
        share = round(trainer.learner.share, 6)
        trainer.emit(as_event(change, share))
    validation.renew_patience(trainer)


def _plan(trainer: Trainer) -> None:
    """Tell how the longest step will be taken, unless that was told before a resume."""
    planner = trainer.learner.setup.planner
    if not planner:
        return
    way = planner.longest_step(trainer.learner.recipe)
    plan = describe_plan(planner, way)
    if planned := validation.plan(trainer.learner):
        trainer.validation = planned
        plan = with_validation(plan, planned)
        if warning := shortening(planned):
            trainer.warn(*warning)
    told = [event for event in trainer.run.events() if event["kind"] == "plan"]
    if not told or plan.as_dict().items() - told[-1].items():
        trainer.emit(plan)
    if trainer.run.info().plan is not None:  # now it says what a validation needs, too
        trainer.run.note(plan=plan.as_dict())
    most = max(way.total, planned.total if planned else 0)
    trainer.watch.expect(planner, most, forced=trainer.learner.setup.forced)
    keep_below(planner.limit)
    # Without a bound the freed arrays of every new length of an episode would be held on to.
    mx.set_cache_limit(planner.cache_bytes(way))
