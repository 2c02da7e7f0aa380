"""MLflow: the server or store that `MLFLOW_TRACKING_URI` names, or a folder of files."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.runs.folder import Run
from yofo_mlx.trackers.figures import settings
from yofo_mlx.trackers.tracker import needing

EXPERIMENT = "yofo"
MOST_TEXT = 500  # characters of a parameter that every store takes
MOST_AT_ONCE = 100  # parameters of one call


@dataclass
class MLflow:
    """Writes to `--out`, a folder; without it to the store that is set, or `./mlruns`."""

    out: Path | None
    package = "mlflow"
    _client: Any = field(init=False)
    _id: str = field(init=False)
    _uri: str = field(init=False)

    def begin(self, run: Run) -> None:
        """Begin a run of the experiment `yofo`, with the recipe as its parameters."""
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder is asked for by --out
        with needing("MLflow", "mlflow"):
            from mlflow.entities import Param
            from mlflow.tracking import MlflowClient
        set_uri = os.environ.get("MLFLOW_TRACKING_URI")
        folder = self.out or Path("mlruns")
        self._uri = set_uri if set_uri and not self.out else folder.absolute().as_uri()
        self._client = MlflowClient(tracking_uri=self._uri)
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        number = (
            experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)
        )
        created = int(1000 * (run.info().created or 0)) or None
        made = self._client.create_run(number, run_name=run.run_id, start_time=created)
        self._id = made.info.run_id
        parameters = [
            Param(key, str(value)[:MOST_TEXT]) for key, value in settings(run.info().recipe).items()
        ]
        for start in range(0, len(parameters), MOST_AT_ONCE):
            self._client.log_batch(self._id, params=parameters[start : start + MOST_AT_ONCE])

    def log(self, step: int, seconds: float, figures: dict[str, float]) -> None:
        """Log the figures of a step in one call."""
        from mlflow.entities import Metric

        at = int(1000 * seconds)
        metrics = [Metric(name, value, at, step) for name, value in figures.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def end(self, *, well: bool) -> str:
        """Finish the run there."""
        self._client.set_terminated(self._id, "FINISHED" if well else "FAILED")
        return self._uri
