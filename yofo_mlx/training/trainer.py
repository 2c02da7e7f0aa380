"""What a training run consists of while it runs."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from yofo_mlx.models.base import Base
from yofo_mlx.planning.evaluation import EvaluationPlan
from yofo_mlx.planning.planner import Planner
from yofo_mlx.planning.workload import Workload
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.events import Event, EventWriter, as_read
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import Extension
from yofo_mlx.runs.kinds import Kind, ProgressEvent, WarningEvent
from yofo_mlx.training.checkpoints import TrainerState

Listener = Callable[[Event], None]

KEPT_EVERY_S = 10.0  # a long step must not bury what was written before it


@dataclass
class Trainer:
    """What a step needs; the state that changes is in `state`, the model and the optimizer."""

    run: Run
    recipe: Recipe
    base: Base
    workload: Workload
    writer: EventWriter
    on_event: Listener
    should_stop: Callable[[], bool]
    should_leave: Callable[[], bool]  # the step at hand, too
    optimizer: Any
    planner: Planner | None
    state: TrainerState
    saved: TrainerState | None = None
    chunks_tried: bool = False
    validation: EvaluationPlan | None = None
    extended: list[Extension] = field(default_factory=list)
    progress_kept: float = -math.inf  # when it was last written

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
