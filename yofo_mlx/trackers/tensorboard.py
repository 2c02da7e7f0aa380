"""TensorBoard's event files, written by tensorboardX: no TensorFlow, no torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.runs.folder import Run
from yofo_mlx.trackers.figures import settings
from yofo_mlx.trackers.tracker import needing


@dataclass
class TensorBoard:
    """Writes below a folder, or into the run's own folder `tensorboard`."""

    out: Path | None
    package = "tensorboardX"
    _writer: Any = field(init=False)
    _folder: Path = field(init=False)

    def begin(self, run: Run) -> None:
        """Begin a file of events; one that an earlier call wrote is replaced."""
        with needing("TensorBoard's writer", "tensorboard"):
            from tensorboardX import SummaryWriter
        self._folder = self.out / run.run_id if self.out else run.path / "tensorboard"
        for old in self._folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(self._folder))
        rows = "\n".join(
            f"    {key} = {value}" for key, value in settings(run.info().recipe).items()
        )
        self._writer.add_text("recipe", rows)

    def log(self, step: int, seconds: float, figures: dict[str, float]) -> None:
        """Write each figure as a scalar."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step, walltime=seconds)

    def end(self, *, well: bool) -> str:
        """Close the file."""
        self._writer.close()
        return str(self._folder)
