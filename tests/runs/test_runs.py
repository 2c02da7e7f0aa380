"""Run folders: status from lock and events, two writers, finding, whole files."""

import os
import shutil
import subprocess
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.streams import FreeWriter
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.runs import listing, lock
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import files
from yofo_mlx.system.files import new_folder, write_text

HOLD = """
import sys, time
from pathlib import Path
from yofo_mlx.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def run() -> Run:
    run = listing.create("My Recipe")
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
        assert lock.holder(run.path) == process.pid
        run.request_stop()
        assert run.status() == "stopping"
    finally:
        process.kill()
        process.wait()


def test_a_killed_trainer_leaves_the_status_died(run: Run) -> None:
    FreeWriter(run.events_path).write("step", step=1)
    process = hold(run)
    process.kill()
    process.wait()
    assert run.status() == "died"


@pytest.mark.parametrize("kind", ["finished", "stopped", "failed"])
def test_the_last_event_tells_how_a_run_ended(run: Run, kind: str) -> None:
    with lock.locked(run.path):
        FreeWriter(run.events_path).write(kind, step=1)
    assert run.status() == kind


def test_a_second_trainer_is_refused_by_the_name_of_the_first(run: Run) -> None:
    process = hold(run)
    try:
        with pytest.raises(RunError, match=f"process {process.pid}"), lock.locked(run.path):
            pass
    finally:
        process.kill()
        process.wait()


def test_runs_are_listed_newest_first_and_found_by_part(run: Run) -> None:
    later = listing.create("other")
    later.recipe_path.write_text("")
    assert [found.run_id for found in listing.list_runs()] == [later.run_id, run.run_id]
    assert listing.find("last") == later  # neither was begun
    run.lock_path.touch()
    assert listing.find("last") == run  # the other waits
    assert listing.find("my-recipe") == run
    assert listing.find(str(run.path)) == run
    with pytest.raises(RecipeError, match="could be any of 2"):
        listing.find("-")
    with pytest.raises(RecipeError, match="no run 'nothing'"):
        listing.find("nothing")


def test_two_runs_of_the_same_second_get_folders_of_their_own() -> None:
    assert len({listing.create("same").path for _ in range(3)}) == 3


def test_a_home_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("YOFO_HOME", str(blocked))
    with pytest.raises(RunError, match="cannot create the run folder"):
        listing.create("x")


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


def test_last_and_the_order_of_runs_follow_neither_clocks_nor_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    for clock, zone in ((2e9, "UTC-14"), (1e9, "UTC"), (1e9, "UTC+11"), (1e9, "UTC+11")):
        with monkeypatch.context() as patched:
            patched.setattr("yofo_mlx.runs.listing.time.time", lambda clock=clock: clock)
            patched.setenv("TZ", zone)
            time.tzset()
            made.append(listing.create("clock"))
        made[-1].recipe_path.write_text("")
    time.tzset()
    for place, name in ((0, "zebra"), (3, "0000")):
        made[place] = Run(made[place].path.rename(made[place].path.with_name(name)))
    assert listing.list_runs() == made[::-1]
    assert listing.find("last") == made[3]
    FreeWriter(made[0].events_path).write("started")
    made[1].recipe_path.touch()
    assert listing.list_runs() == made[::-1]


def test_runs_without_a_number_come_before_by_their_beginning(run: Run) -> None:
    old = []
    for name, began in (("20990101-000000-a", 5.0), ("20200101-000000-b", 7.0)):
        old.append(Run(run.path.with_name(name)))
        old[-1].path.mkdir()
        old[-1].recipe_path.write_text("")
        line = f'{{"v": 1, "t": {began}, "kind": "started"}}\n'
        old[-1].events_path.write_text(line)
    assert listing.list_runs() == [run, old[1], old[0]]


def test_a_run_that_came_from_elsewhere_does_not_stay_the_last(run: Run) -> None:
    foreign = Run(run.path.with_name("foreign"))
    foreign.path.mkdir()
    foreign.recipe_path.write_text("")
    foreign.note(number=57)
    assert listing.find("last") == foreign
    newer = listing.create("newer")
    newer.recipe_path.write_text("")
    assert listing.find("last") == newer


def test_runs_created_at_the_same_time_have_numbers_of_their_own() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(listing.create, ["same"] * 24))
    assert sorted(run.info().number for run in made) == list(range(1, 25))


def test_the_age_of_a_run_is_that_of_its_beginning(run: Run, yofo: Any) -> None:
    run.note(created=time.time() - 7200)
    (run.path / "eval.json").write_text("{}")
    run.recipe_path.write_text("")
    assert yofo("runs")[1].splitlines()[1].split()[-1] == "2h"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("größe 日本", "größe-日本"),
        ("xlsum_test_500", "xlsum-test-500"),
        ("Banking77", "banking77"),
        ("हिन्दी 3", "हिन्दी-3"),
        ("a/../b\x1b]0;x\x07\u200b\udcff", "a-b-0-x"),
        ("...", "run"),
    ],
)
def test_a_name_keeps_its_letters_and_digits(name: str, words: str) -> None:
    run = listing.create(name)
    run.recipe_path.write_text("")
    assert run.run_id.split("-", 2)[2] == words
    assert len(os.fsencode(listing.create("語" * 99).run_id)) < 250


def test_a_run_is_found_by_the_name_it_was_given(run: Run) -> None:
    for name in ("Größe", unicodedata.normalize("NFD", "größe"), "GRÖSSE"):
        made = listing.create("Größe")
        made.recipe_path.write_text("")
        assert listing.find(name) == made
        shutil.rmtree(made.path)


def test_what_replaces_a_file_is_on_the_disk_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = files.sync, os.replace
    monkeypatch.setattr(files, "sync", lambda fd: (done.append("sync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (done.append("replace"), replace(*a)))
    write_text(tmp_path / "file", "content")
    assert done == ["sync", "replace", "sync"]  # the file, its name, the folder
