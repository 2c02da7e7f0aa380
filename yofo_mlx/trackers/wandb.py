"""Weights & Biases: where its own settings say, offline with `WANDB_MODE=offline`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.runs.folder import Run
from yofo_mlx.trackers.figures import settings
from yofo_mlx.trackers.tracker import needing


@dataclass
class WeightsAndBiases:
    """Writes into the folder `wandb` of a folder, or of the run, and sends it if asked to."""

    out: Path | None
    package = "wandb"
    _run: Any = field(init=False)

    def begin(self, run: Run) -> None:
        """Begin a run of the project `yofo`, or of `WANDB_PROJECT`."""
        with needing("Weights & Biases", "wandb"):
            import wandb
        import os

        folder = self.out or run.path
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "yofo"),
            name=run.run_id,
            dir=str(folder),
            config=settings(run.info().recipe),
            settings=wandb.Settings(
                console="off", silent=True, disable_git=True, save_code=False, x_disable_stats=True
            ),
        )
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, seconds: float, figures: dict[str, float]) -> None:
        """Log the figures; what a resume repeats is logged again, under its step."""
        self._run.log(figures | {"step": step, "time": seconds})

    def end(self, *, well: bool) -> str:
        """Finish the run there; its file is whole once the process that writes it has ended."""
        import wandb

        folder = str(Path(self._run.dir).parent)
        code = 0 if well else 1
        self._run.finish(exit_code=code)
        wandb.teardown(exit_code=code)
        return folder
