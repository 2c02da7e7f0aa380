"""Run folders: status from lock and events, two writers, finding, whole files."""

import subprocess
import sys
from pathlib import Path

import pytest

from yofo_mlx import runs
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.events import EventWriter
from yofo_mlx.files import new_folder, write_text
from yofo_mlx.runs import Run

HOLD = """
import sys, time
from pathlib import Path
from yofo_mlx.runs import Run, locked
with locked(Run(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def run() -> Run:
    run = runs.create("My Recipe")
    run.recipe_path.write_text("")
    return run


def hold(run: Run) -> subprocess.Popen[str]:
    """Hold a run's lock in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_run_that_never_started_is_created(run: Run) -> None:
    assert run.status() == "created"


def test_a_locked_run_is_running_and_stops_when_asked(run: Run) -> None:
    process = hold(run)
    try:
        assert run.status() == "running"
        assert runs.holder(run) == process.pid
        run.request_stop()
        assert run.status() == "stopping"
    finally:
        process.kill()
        process.wait()


def test_a_killed_trainer_leaves_the_status_died(run: Run) -> None:
    EventWriter(run.events_path).write("step", step=1)
    process = hold(run)
    process.kill()
    process.wait()
    assert run.status() == "died"


@pytest.mark.parametrize("kind", ["finished", "stopped", "failed"])
def test_the_last_event_tells_how_a_run_ended(run: Run, kind: str) -> None:
    with runs.locked(run):
        EventWriter(run.events_path).write(kind, step=1)
    assert run.status() == kind


def test_a_second_trainer_is_refused_by_the_name_of_the_first(run: Run) -> None:
    process = hold(run)
    try:
        with pytest.raises(RunError, match=f"process {process.pid}"), runs.locked(run):
            pass
    finally:
        process.kill()
        process.wait()


def test_runs_are_listed_newest_first_and_found_by_part(run: Run) -> None:
    later = runs.create("other")
    later.recipe_path.write_text("")
    assert [found.run_id for found in runs.list_runs()] == [later.run_id, run.run_id]
    assert runs.find("last") == later
    assert runs.find("my-recipe") == run
    assert runs.find(str(run.path)) == run
    with pytest.raises(RecipeError, match="could be any of 2"):
        runs.find("-")
    with pytest.raises(RecipeError, match="no run 'nothing'"):
        runs.find("nothing")


def test_two_runs_of_the_same_second_get_folders_of_their_own() -> None:
    assert len({runs.create("same").path for _ in range(3)}) == 3


def test_a_home_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("YOFO_HOME", str(blocked))
    with pytest.raises(RunError, match="cannot create the run folder"):
        runs.create("x")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for content in ("one", "two"):
        with new_folder(path) as folder:
            (folder / "file").write_text(content)
    with pytest.raises(ValueError, match="boom"), new_folder(path) as folder:
        (folder / "file").write_text("three")
        raise ValueError("boom")
    assert (path / "file").read_text() == "two"
    assert [left.name for left in tmp_path.iterdir()] == ["folder"]
