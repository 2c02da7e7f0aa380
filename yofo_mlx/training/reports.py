"""What a run says of a step and keeps of it."""

from dataclasses import dataclass, replace

import mlx.core as mx

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.runs.kinds import CheckpointEvent, StepEvent
from yofo_mlx.system.footprint import footprint
from yofo_mlx.system.peak import peak
from yofo_mlx.training.checkpoints import save_checkpoint
from yofo_mlx.training.trainer import Trainer


@dataclass(frozen=True)
class Step:
    """A step that was taken."""

    batches: list[Batch]
    loss: float  # in nats
    norm: float  # of the gradient, before it was clipped
    rate: float
    seconds: float

    @property
    def tokens(self) -> int:
        """Tokens of all passes, padding not counted."""
        return sum(batch.token_count for batch in self.batches)


def report(trainer: Trainer, step: Step) -> None:
    """Tell what a step took and gave."""
    state, tokens, seconds = trainer.state, step.tokens, step.seconds
    targets = sum(len(batch.targets) for batch in step.batches)
    share = min(1.0, trainer.learner.share)
    trainer.emit(
        StepEvent(
            step=state.step,
            loss=step.loss,
            lr=step.rate,
            grad_norm=step.norm,
            tokens=tokens,
            targets=targets,
            shots=[shots for batch in step.batches for shots in batch.shots],
            tokens_per_s=round(tokens / seconds, 1),
            targets_per_s=round(targets / seconds, 1),
            peak_gb=round(peak() / 1e9, 4),
            memory_gb=round((mx.get_active_memory() + mx.get_cache_memory()) / 1e9, 4),
            total_tokens=state.tokens,
            share=round(share, 6),
            seconds_left=round(state.seconds * (1 - share) / share, 1),
            footprint_gb=round(footprint() / 1e9, 4),
        )
    )


def save(trainer: Trainer) -> None:
    """Save where the run stands, unless that was where it was resumed."""
    learner, state = trainer.learner, trainer.state
    if (
        trainer.saved is None
        or replace(state, events_bytes=trainer.saved.events_bytes) != trainer.saved
    ):
        trainer.writer.sync()  # a checkpoint must not know of events that the disk lost
        state.events_bytes = trainer.writer.position
        save_checkpoint(trainer.run, learner.model, learner.optimizer, state, learner.recipe)
        trainer.saved = replace(state)
    tell_checkpoint(trainer)


def tell_checkpoint(trainer: Trainer) -> None:
    """Tell where the checkpoint of this step is."""
    path = trainer.run.checkpoint_path(trainer.state.step)
    place = str(path.relative_to(trainer.run.path))
    trainer.emit(CheckpointEvent(step=trainer.state.step, path=place))
