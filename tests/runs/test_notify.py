"""What is told at the end of a run: the user's own command, which can hurt nothing."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import short
from yofo_mlx.commands import train
from yofo_mlx.errors import DataError
from yofo_mlx.runs import launch, listing, notify
from yofo_mlx.runs.events import EventWriter
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.kinds import FinishedEvent, LoadingEvent
from yofo_mlx.runs.recipe import RecipeRequest

__all__ = ["short"]


def settings(home: Path, text: str) -> None:
    (home / "settings.toml").write_text(f"[notify]\n{text}\n")


def ended(name: str) -> Run:
    run = listing.create(name)
    writer = EventWriter(run.events_path)
    writer.write(FinishedEvent(step=7, best_step=1, seconds=1.0))
    writer.close()
    return run


def test_a_command_gets_what_became_of_the_run(yofo_home: Path, tmp_path: Path) -> None:
    run, out = ended("mine"), tmp_path / "told"
    settings(yofo_home, f"""command = 'cat > {out}; echo "$YOFO_RUN $YOFO_STATUS" >> {out}'""")
    notify.at_end(run)
    told, named = out.read_text().splitlines()
    assert json.loads(told) == {
        "run": run.run_id, "path": str(run.path), "status": "finished", "step": 7, "message": ""
    }  # fmt: skip
    assert named == f"{run.run_id} finished"


@pytest.mark.parametrize(
    "text", ["command = 7", "command = 'exit 3'", "command = '/no/such'", "command = ", "x = 1"]
)
def test_a_command_that_cannot_be_run_or_fails_is_told_and_hurts_nothing(
    yofo_home: Path, text: str
) -> None:
    settings(yofo_home, text)
    notify.at_end(ended("mine"))


def test_a_command_has_a_limit_of_time(
    yofo_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(notify, "LIMIT_S", 0.2)
    settings(yofo_home, "command = 'sleep 60'")
    began = time.monotonic()
    notify.at_end(ended("mine"))
    assert time.monotonic() - began < 10


def test_a_run_that_wrote_no_end_died(yofo_home: Path) -> None:
    run = listing.create("mine")
    writer = EventWriter(run.events_path)
    writer.write(LoadingEvent(process=1))
    writer.close()
    run.lock_path.touch()
    assert notify.facts(run)["status"] == "died"


def test_training_calls_it_once_and_a_pipe_hears_no_bell(
    yofo: Any, short: Path, yofo_home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "told"
    settings(yofo_home, f"command = 'echo $YOFO_STATUS >> {out}'")
    code, _, err = yofo("train", short, "--set", "train.steps=1")
    assert code == 0 and out.read_text() == "finished\n" and "\a" not in err


def test_a_run_that_ends_while_it_loads_is_told_as_well(
    yofo_home: Path, tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise DataError("the data went away", "bring them back")

    monkeypatch.setattr(train, "load_planned", fails)
    out = tmp_path / "told"
    settings(yofo_home, f"command = 'cat > {out}'")
    run = launch.create_run(RecipeRequest([str(short)], []).load(), "mine")
    with pytest.raises(DataError):
        train.resume(run.run_id)
    told = json.loads(out.read_text())
    assert (told["status"], told["message"]) == ("failed", "the data went away")
