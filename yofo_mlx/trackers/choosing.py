"""The trackers there are, by the names they are asked for with."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from yofo_mlx.errors import YofoError
from yofo_mlx.trackers.csv_file import CsvFile
from yofo_mlx.trackers.mlflow import MLflow
from yofo_mlx.trackers.tensorboard import TensorBoard
from yofo_mlx.trackers.tracker import Tracker
from yofo_mlx.trackers.wandb import WeightsAndBiases

TRACKERS: Final[dict[str, Callable[[Path | None], Tracker]]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
    "csv": CsvFile,
}


def choose(name: str, out: Path | None) -> Tracker:
    """Return a tracker that writes to a place, or to its usual one."""
    if name not in TRACKERS:
        known = ", ".join(TRACKERS)
        raise YofoError(f"there is no tracker {name!r}", f"--to takes one of: {known}")
    return TRACKERS[name](out)
