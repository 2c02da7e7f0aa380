"""Figures of a run in other trackers, read back by their own readers."""

import csv
import io
import json
import struct
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from tests.streams import FreeWriter
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs import launch
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.trackers.csv_file import CsvFile
from yofo_mlx.trackers.feeding import feed
from yofo_mlx.trackers.figures import figures, settings

LOSSES = [3.0, 2.5, 2.25]
ROWS = [{"metric": "exact", "tasks": 1, "of": 1, "shots": 8, "accuracy": 0.5, "loss": 1.5}]


@pytest.fixture
def run() -> Run:
    """Return a run of three steps and a validation, one of whose figures is none."""
    run = launch.create_run(load_recipe(find_recipe("tiny")), "tracked")
    writer = FreeWriter(run.events_path)
    for step, loss in enumerate(LOSSES, 1):
        writer.write("step", step=step, loss=loss, lr=0.1, shots=[2], grad_norm="nan")
    writer.write("eval", step=3, loss=1.75, by_shots=ROWS, by_task=[], best=True)
    writer.write("finished", step=3, best_step=3, seconds=1.0)
    return run


def test_csv_has_a_line_for_each_figure(run: Run, yofo: Any, tmp_path: Path) -> None:
    code, out, err = yofo("log", "last", "--to", "csv")
    assert code == 0 and "4 events" in err
    rows = list(csv.DictReader(io.StringIO(out)))
    losses = [float(row["value"]) for row in rows if row["name"] == "train/loss"]
    assert losses == LOSSES
    assert {row["name"]: row["value"] for row in rows}["valid/exact/8_shots"] == "0.5"
    assert not [row for row in rows if "grad_norm" in row["name"]]
    yofo("log", "last", "--to", "csv", "--follow", "--out", str(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_text() == out


def test_odd_events_and_unknown_trackers_are_refused_in_words(run: Run, yofo: Any) -> None:
    assert figures({"kind": "eval", "loss": "nan", "by_shots": [3]}) == {}
    assert figures({"kind": "warning", "loss": 1.0}) == {}
    code, _, err = yofo("log", "last", "--to", "paper")
    assert code == 1 and "tensorboard, wandb, mlflow, csv" in err


def test_a_recipe_is_one_flat_table(run: Run) -> None:
    flat = settings(run.info().recipe)
    assert flat["lora.rank"] == load_recipe(find_recipe("tiny")).lora.rank
    assert flat["tasks"] == "tiny:train, tiny:held_out"


def test_a_missing_package_is_named_with_what_to_install(
    run: Run, yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    code, _, err = yofo("log", "last", "--to", "tensorboard")
    assert code == 1 and "pip install 'yofo[tensorboard]'" in err


def test_where_nothing_can_be_written_is_told_in_two_lines(
    run: Run, yofo: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file/below.csv"):
        code, _, err = yofo("log", "last", "--to", "csv", "--out", out)
        assert code == 1 and len(err.splitlines()) == 2 and "resume" not in err
    new = tmp_path / "new/folder/a.csv"
    assert yofo("log", "last", "--to", "csv", "--out", new)[0] == 0 and new.is_file()


def test_what_a_tracker_s_package_refuses_is_told_and_our_own_defects_are_not_hidden(
    run: Run, yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        csv.reader(["a"], "no such dialect")  # in place of a package that we do not have

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    theirs = {"__name__": "csv.inner", "csv": csv}
    refused = FunctionType(refuse.__code__, theirs)
    monkeypatch.setattr(CsvFile, "begin", refused)
    code, _, err = yofo("log", "last", "--to", "csv")
    assert code == 1 and err.startswith("error: csv: ") and len(err.splitlines()) == 2
    monkeypatch.setattr(CsvFile, "begin", fail)
    with pytest.raises(ZeroDivisionError):
        feed(run, run.events(), CsvFile(None))


@pytest.mark.long
def test_mlflow_s_own_refusal_is_told(run: Run, yofo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    code, _, err = yofo("log", "last", "--to", "mlflow")
    assert code == 1 and err.startswith("error: mlflow: ") and len(err.splitlines()) == 2


@pytest.mark.long
def test_tensorboard_reads_what_was_written(run: Run, yofo: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second replaces the first
        assert yofo("log", "last", "--to", "tensorboard")[0] == 0
    read = EventAccumulator(str(run.path / "tensorboard"))
    read.Reload()
    assert [(one.step, one.value) for one in read.Scalars("train/loss")] == [*enumerate(LOSSES, 1)]
    assert read.Scalars("valid/exact/8_shots")[0].value == 0.5


@pytest.mark.long
def test_mlflow_reads_what_was_written(run: Run, yofo: Any, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    assert yofo("log", "last", "--to", "mlflow", "--out", str(tmp_path / "ml"))[0] == 0
    client = MlflowClient(tracking_uri=(tmp_path / "ml").as_uri())
    experiment = client.get_experiment_by_name("yofo")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED" and found.data.params["train.batch_size"]
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(one.step, one.value) for one in history] == [*enumerate(LOSSES, 1)]


@pytest.mark.long
def test_wandb_keeps_what_was_written_offline(
    run: Run, yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    code, _, err = yofo("log", "last", "--to", "wandb", "--out", str(tmp_path))
    assert code == 0, err
    (kept,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert _history(kept) == LOSSES


def _history(path: Path) -> list[float]:
    """Return the losses in the file that `wandb sync` sends: records, 7 bytes before each."""
    from wandb.proto import wandb_internal_pb2

    data, place, found = path.read_bytes(), 7, []
    assert len(data) < 2**15  # one block
    while place < len(data):
        _, length, _ = struct.unpack_from("<IHB", data, place)
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data[place + 7 : place + 7 + length])
        place += 7 + length
        for item in record.history.item:
            if (item.key or "/".join(item.nested_key)) == "train/loss":
                found.append(json.loads(item.value_json))
    return found
