"""One optimizer update: draw episodes, differentiate, step."""

import time
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_map

from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.errors import RunError
from yofo_mlx.gradients import Dials, Progress, loss_and_gradients
from yofo_mlx.gradients.exactness import check_exactness
from yofo_mlx.models.adapters import adapter_weights
from yofo_mlx.runs.kinds import ProgressEvent
from yofo_mlx.system.peak import aside
from yofo_mlx.training.checkpoints import list_checkpoints
from yofo_mlx.training.trainer import Trainer

PROGRESS_EVERY_S = 1.0  # shown


class StepLeft(Exception):
    """A step was left before it changed anything."""


def draw(trainer: Trainer) -> list[Batch]:
    """Return the batches of the next update."""
    settings = trainer.recipe.train
    return [
        make_batch(
            trainer.workload.sampler.draw(trainer.state.step, micro_step, settings.batch_size),
            trainer.recipe.objective,
        )
        for micro_step in range(settings.grad_accumulation_steps)
    ]


def update(trainer: Trainer, batches: list[Batch], rate: float) -> tuple[float, float]:
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


def _gradients(trainer: Trainer, batches: list[Batch]) -> tuple[mx.array, Any]:
    """Return the loss and gradients of all batches, summed; nothing else is changed.

    Who is in a hurry leaves the step here, between its pieces, and the model as it was.
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
            if trainer.should_leave():
                raise StepLeft
            progress = _progress(trainer, place, len(batches))
            more, added = loss_and_gradients(model, batch, dials[place], progress)
            total = total + more
            gradients = added if gradients is None else tree_map(mx.add, gradients, added)
            mx.eval(total, gradients)
    except StepLeft:
        model.update(before)
        raise
    return total, gradients


def _dials(trainer: Trainer, batches: list[Batch]) -> list[Dials | None]:
    """Return how each batch is differentiated; before the first one in chunks, try that."""
    if not trainer.planner:
        return [None] * len(batches)
    dials = [trainer.planner.dials(batch) for batch in batches]
    if any(dials) and not trainer.chunks_tried:
        trainer.chunks_tried = True
        with aside():
            warning = check_exactness(trainer.base.model, trainer.base.config, trainer.recipe.lora)
        if warning:
            trainer.warn(warning, "")
    return dials


def _progress(trainer: Trainer, place: int, batches: int) -> Progress:
    """Return what tells of the pieces of a step now and then, and may leave it."""
    told = time.monotonic()

    def progress(done: int, total: int, phase: str) -> None:
        nonlocal told
        if trainer.should_leave():
            raise StepLeft
        now = time.monotonic()
        if now - told < PROGRESS_EVERY_S:
            return
        told = now
        done, total = done + place * total, total * batches
        step = trainer.state.step + 1
        trainer.emit_progress(ProgressEvent(step=step, done=done, total=total, phase=phase))

    return progress


def _not_finite(trainer: Trainer, batches: list[Batch], what: str) -> None:
    tasks = sorted({task for batch in batches for task in batch.tasks})
    checkpoints = list_checkpoints(trainer.run)
    last = f"the last good one is {checkpoints[0]}" if checkpoints else "there is no checkpoint"
    remedy = "lower optimizer.learning_rate or lora.scale"
    weights: Any = tree_flatten(trainer.base.model.parameters())
    if any(array.dtype == mx.float16 for _, array in weights):
        remedy += ", or take a conversion in bfloat16: numbers of float16 end at 65504"
    raise RunError(
        f"step {trainer.state.step + 1}: {what}, in an episode of {', '.join(tasks)}",
        f"{remedy}; {last}",
    )
