"""What learns, and the run that it learns in."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import RunError
from yofo_mlx.gradients import Progress
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.planning.evaluation import EvaluationPlan
from yofo_mlx.planning.packing import settled
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.events import Event, EventWriter, as_read
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import Extension
from yofo_mlx.runs.kinds import Kind, ProgressEvent, StoppedEvent, WarningEvent
from yofo_mlx.runs.trained import Note
from yofo_mlx.training.checkpoints import TrainerState
from yofo_mlx.training.importance import optimizer_of
from yofo_mlx.training.memory_watch import MemoryWatch
from yofo_mlx.training.ranks import Ranks, StepLeft
from yofo_mlx.training.schedule import share_done
from yofo_mlx.training.setup import Setup

Listener = Callable[[Event], None]

PROGRESS_EVERY_S = 1.0  # shown: more often than that nobody reads it
KEPT_EVERY_S = 10.0  # written: a long step must not bury what was before it


class NotFinite(RunError):
    """A step that would end the run in numbers that are none."""


class Onlooker:
    """Who is asked and told while a step is taken; this one says nothing and never leaves it."""

    def begin_pass(self, place: int, passes: int) -> Progress:
        """Return what is called between the pieces of a pass; either may raise StepLeft."""
        return lambda *_: None

    def warn(self, message: str, hint: str) -> None:
        """Take a warning."""


@dataclass
class Learner:
    """What a step needs and changes: it lives in memory and knows of no run folder.

    What a step changes is in the model's adapter, the optimizer and `state`.
    """

    recipe: Recipe
    setup: Setup
    state: TrainerState = field(default_factory=TrainerState)
    optimizer: Any = field(init=False)
    notes: list[Note] = field(init=False)  # on what of the recipe its model cannot do
    chunks_tried: bool = False

    def __post_init__(self) -> None:
        self.recipe, self.notes = settled(self.recipe, self.setup.base.config)
        self.optimizer = optimizer_of(self.recipe.optimizer, self.model)

    @property
    def model(self) -> Any:
        """The base model, whose adapter is trained."""
        return self.setup.base.model

    @property
    def ranks(self) -> Ranks:
        """The processes that take its steps together."""
        return self.setup.ranks

    @property
    def share(self) -> float:
        """How much of the run's length is done."""
        return share_done(self.recipe.train, self.state.step, self.state.tokens)

    def begin(self) -> None:
        """Put a fresh adapter on the model; the base model's answers stay what they are."""
        mx.random.seed(self.recipe.seed)
        add_adapter(self.model, self.recipe.lora)
        self.optimizer.init(self.model.trainable_parameters())

    def share_state(self) -> None:
        """Stand where rank 0 stands, on every rank."""
        self.state = self.ranks.give_fields(self.state)
        self.model.update(self.ranks.give(self.model.trainable_parameters()))
        self.optimizer.state = self.ranks.give(self.optimizer.state)


@dataclass
class Trainer(Onlooker):
    """A run: what learns, what it tells, who may end it."""

    run: Run
    learner: Learner
    writer: EventWriter
    on_event: Listener
    should_stop: Callable[[], bool]
    should_leave: Callable[[], bool]  # the step at hand, too
    watch: MemoryWatch = field(default_factory=MemoryWatch)
    saved: TrainerState | None = None  # what the newest checkpoint holds
    validation: EvaluationPlan | None = None
    extended: list[Extension] = field(default_factory=list)
    progress_kept: float = -math.inf  # when it was last written

    @property
    def state(self) -> TrainerState:
        """Where the run stands."""
        return self.learner.state

    def emit(self, told: Kind) -> Event:
        """Write an event and show it as whoever reads the stream sees it."""
        event = self.writer.write(told)
        self.on_event(event)
        return event

    def emit_progress(self, told: ProgressEvent) -> None:
        """Show how far a step is; write it now and then only."""
        now = time.monotonic()
        if now - self.progress_kept < KEPT_EVERY_S:
            self.on_event(as_read(told))
            return
        self.progress_kept = now
        self.emit(told)

    def warn(self, message: str, hint: str) -> None:
        """Write a warning, unless the stream has it from before a resume."""
        said = (event.get("message") for event in self.run.events() if event["kind"] == "warning")
        if message not in said:
            self.emit(WarningEvent(message=message, hint=hint))

    def stopped(self) -> StoppedEvent:
        """Return the end of a run that was asked to stop; MemoryShort where memory asked for it."""
        self.watch.complain()
        return StoppedEvent(step=self.state.step, reason="asked to stop")

    def begin_pass(self, place: int, passes: int) -> Progress:
        """Return what tells of the pieces of a step now and then, and may leave it."""
        if self.should_leave():
            raise StepLeft
        told = time.monotonic()

        def progress(done: int, total: int, phase: str) -> None:
            nonlocal told
            if self.should_leave():
                raise StepLeft
            now = time.monotonic()
            if now - told < PROGRESS_EVERY_S:
                return
            told = now
            done, total = done + place * total, total * passes
            step = self.state.step + 1
            self.emit_progress(ProgressEvent(step=step, done=done, total=total, phase=phase))

        return progress
