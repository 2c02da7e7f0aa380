"""Validations: when one is due, what it says of the adapter, which adapter is the best so far."""

import math
from collections.abc import Iterator

import mlx.core as mx
import numpy as np

from yofo_mlx.evaluation.measure import OnSample, Sample, evaluate_entry
from yofo_mlx.evaluation.scores import TaskScores, of_model, summarize
from yofo_mlx.planning.evaluation import (
    EvaluationPlan,
    as_planned,
    most_asked,
)
from yofo_mlx.planning.machine import fitting_validation
from yofo_mlx.runs.kinds import EvalEvent, ProgressEvent, SampleEvent, ShotsRow, TaskRow
from yofo_mlx.system.peak import peak, reset_peak
from yofo_mlx.system.text import clip
from yofo_mlx.training.checkpoints import keep_best
from yofo_mlx.training.extension import was_end
from yofo_mlx.training.ranks import StepLeft
from yofo_mlx.training.schedule import is_due
from yofo_mlx.training.trainer import Learner, Trainer

LONGEST = 1000  # characters of a text in a sample


def plan(learner: Learner) -> EvaluationPlan | None:
    """Return how much a validation asks at once beside the training; None if nothing is known."""
    recipe, setup = learner.recipe, learner.setup
    entries = setup.workload.valid_entries(recipe.evaluation.valid_tasks)
    asked = most_asked(recipe, entries, setup.base.tokenizer, valid=True)
    return fitting_validation(recipe, setup.planner, asked) if setup.planner and asked else None


def validation_due(trainer: Trainer) -> bool:
    """Tell whether this step is to be validated and was not yet, also after a resume."""
    learner, state = trainer.learner, trainer.state
    due = is_due(learner.recipe.train.eval_every, state.step) or learner.share >= 1.0
    # A run that was given more steps is the one that had them from its start: same validations.
    due = due or any(was_end(change, state) for change in trainer.extended)
    return due and state.validated_step < state.step


def is_over(learner: Learner) -> bool:
    """Tell whether the run has its length, or its validations got no better for too long."""
    return learner.share >= 1.0 or _is_impatient(learner)


def _is_impatient(learner: Learner) -> bool:
    patience = learner.recipe.train.patience
    return patience is not None and learner.state.bad_evals >= patience


def renew_patience(trainer: Trainer) -> None:
    """Let a run go on that its patience had ended, where it was given another length."""
    here = any(change.step == trainer.state.step for change in trainer.extended)
    if here and _is_impatient(trainer.learner):
        trainer.state.bad_evals = 0


def validate(trainer: Trainer) -> None:
    """Measure the adapter by shots on queries of training tasks, and keep it if it is the best."""
    state = trainer.state
    mx.clear_cache()  # what steps have freed is of other sizes than what this needs
    reset_peak()
    samples: list[SampleEvent] = []
    try:
        scores = list(_scores(trainer, samples))
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
        keep_best(trainer.run, trainer.learner.model, trainer.learner.recipe)
    else:
        state.bad_evals += 1
        renew_patience(trainer)
    rows = _by_shots(scores)
    peak_gb = round(peak() / 1e9, 4)
    trainer.emit(
        EvalEvent(
            step=state.step,
            loss=loss,
            by_shots=rows,
            by_task=_by_task(scores),
            best=is_best,
            peak_gb=peak_gb,
        )
    )
    for sample in samples:
        trainer.emit(sample)
    if not math.isfinite(loss):
        trainer.warn(
            f"step {state.step}: the validation loss is {loss}, so this adapter is not the best",
            "lower optimizer.learning_rate, or look for what overflows: yofo doctor",
        )


def _scores(trainer: Trainer, samples: list[SampleEvent]) -> Iterator[TaskScores]:
    """Ask the same queries of the same training tasks every time; leave if asked to stop.

    To `samples` answers are added, of a task each, as many as the recipe wants.
    """
    planned, setup = trainer.validation, trainer.learner.setup
    recipe = as_planned(trainer.learner.recipe, planned)
    copies = planned.copies if planned else None
    entries = setup.workload.valid_entries(recipe.evaluation.valid_tasks)

    def check() -> None:
        if trainer.should_stop():
            raise StepLeft

    setup.base.model.eval()  # no dropout
    for done, entry in enumerate(entries):
        step, total = trainer.state.step, len(entries)
        trainer.emit(ProgressEvent(step=step, done=done, total=total, phase="validation"))
        yield evaluate_entry(
            setup.base,
            recipe,
            entry,
            valid=True,
            check=check,
            at_once=copies,
            on_sample=_keeper(step, entry.task.name, samples)
            if len(samples) < recipe.evaluation.samples
            else None,
        )


def _keeper(step: int, task: str, samples: list[SampleEvent]) -> OnSample:
    """Return what keeps a sample as an event, its texts as long as one reads them."""

    def keep(sample: Sample) -> None:
        example = sample.query.example
        texts = (example.input, example.output, sample.answer)
        shown = dict(
            zip(("input", "expected", "answer"), (clip(t, LONGEST) for t in texts), strict=True)
        )
        event = SampleEvent(step=step, task=task, shots=sample.shots, score=sample.score, **shown)
        samples.append(event)

    return keep


def _by_shots(scores: list[TaskScores]) -> list[ShotsRow]:
    """Return a row for each metric and number of shots."""
    return [
        ShotsRow(metric=one["metric"], tasks=one["tasks"], of=one["of"], **row)
        for one in summarize(of_model(scores))
        for row in one["by_shots"]
    ]


def _by_task(scores: list[TaskScores]) -> list[TaskRow]:
    """Return a row for each task that was measured."""
    return [
        TaskRow(
            task=one.task,
            shots=[point.shots for point in one.points],
            accuracy=[round(point.score, 4) for point in one.points],
        )
        for one in scores
        if one.points
    ]
