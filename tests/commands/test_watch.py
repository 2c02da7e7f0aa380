"""Following a run from outside, and supervising one that dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import endless, short, start, training_run, wait_for  # noqa: F401
from tests.runs.test_death import MESSAGES
from tests.streams import FreeWriter
from yofo_mlx.commands.watch import follow
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs import launch, listing, lock, supervisor
from yofo_mlx.runs.diagnosis import first_words
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import child, paths

PLAN = {"chunk": None, "stash": None, "model_gb": 1.0, "step_gb": 2.0, "limit_gb": 8.0}


@pytest.mark.long
def test_watching_a_detached_run_shows_it_to_its_end_and_leaving_does_not_hurt_it(
    short: Path,  # noqa: F811
) -> None:
    assert start("train", short, "--detach", stdout=subprocess.DEVNULL).wait() == 0
    run = wait_for(lambda: listing.list_runs() and listing.list_runs()[0])
    leaver = start("watch", "last", stderr=subprocess.PIPE, text=True)
    wait_for(training_run)
    leaver.send_signal(signal.SIGINT)
    _, err = leaver.communicate(timeout=30)
    assert leaver.returncode == 0 and f"{run.run_id} goes on" in err
    stayer = start("watch", "last", "--json", stdout=subprocess.PIPE, text=True)
    out, _ = stayer.communicate(timeout=120)
    assert stayer.returncode == 0 and run.status() == "finished"
    assert [json.loads(line) for line in out.splitlines()] == list(run.events())


@pytest.mark.long
def test_watching_a_run_that_is_killed_says_what_became_of_it(endless: Path) -> None:  # noqa: F811
    process = start("train", endless, "--detach")
    assert process.wait() == 0
    run = wait_for(training_run)
    watcher = start("watch", "last", stderr=subprocess.PIPE, text=True)
    pid = lock.holder(run.path)
    assert pid
    os.kill(pid, signal.SIGKILL)
    _, err = watcher.communicate(timeout=60)
    assert watcher.returncode == 1 and "it was killed" in err and "yofo resume" in err


def test_a_watcher_of_a_run_that_is_resumed_hears_what_is_new_and_nothing_twice() -> None:
    run = launch.create_run(load_recipe(find_recipe("tiny")), "watched")
    with lock.locked(run.path):
        writer = FreeWriter(run.events_path)
        heard = follow(run)
        writer.write("step", step=1)
        position = writer.position
        writer.write("step", step=2)
        assert [next(heard)["step"] for _ in range(2)] == [1, 2]
        writer.roll_back(position, 1)
        writer.write("step", step=2, loss=1.0)
        writer.write("step", step=3)
        found = [next(heard) for _ in range(3)]
        assert [(event["kind"], event["step"]) for event in found] == [
            ("resumed", 1),
            ("step", 2),
            ("step", 3),
        ]


def test_a_run_that_has_only_loaded_until_now_does_not_go_on_from_anywhere() -> None:
    run = launch.create_run(load_recipe(find_recipe("tiny")), "watched")
    with lock.locked(run.path):
        writer = FreeWriter(run.events_path)
        heard = follow(run)
        writer.write("loading", process=1)
        writer.write("progress", step=0, done=1, total=2, phase="reading rows")
        assert [next(heard)["kind"] for _ in range(2)] == ["loading", "progress"]
        writer.roll_back(0, 0)
        writer.write("started", run_id=run.run_id)
        assert next(heard)["kind"] == "started"


def kill_once(run: Run) -> int:
    pid = wait_for(lambda: training_run(3) and lock.holder(run.path))
    os.kill(pid, signal.SIGKILL)
    return int(pid)


def test_a_run_with_restarts_goes_on_by_itself_after_a_kill_and_shows_it(
    short: Path,  # noqa: F811
) -> None:
    process = start(
        "train", short, "--restarts", "2", stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    run = wait_for(training_run)
    first = kill_once(run)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0 and out.strip() == str(run.path)
    assert run.status() == "finished" and "going on from step" in err
    console = run.console_path.read_text()
    assert f"process {first}" in console and "started again (2 times left)" in console


@pytest.mark.long
def test_ctrl_c_in_front_of_a_supervised_run_stops_it_for_good(endless: Path) -> None:  # noqa: F811
    process = start("train", endless, "--restarts", "2", stderr=subprocess.PIPE, text=True)
    run = wait_for(training_run)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and f"yofo resume {run.run_id}" in err
    assert run.status() == "stopped" and not run.is_locked()


@pytest.mark.long
def test_a_killed_watcher_of_a_supervised_run_does_not_end_it(endless: Path) -> None:  # noqa: F811
    process = start("train", endless, "--restarts", "1", stderr=subprocess.DEVNULL)
    run = wait_for(training_run)
    process.kill()
    process.wait()
    assert run.status() == "running"
    run.request_stop()
    wait_for(lambda: not run.is_locked())
    assert run.status() == "stopped"


def dying(run: Run, message: str) -> list[str]:
    """Return a trainer that plans a step, says this and aborts."""
    script = (
        "import os, sys, pathlib\n"
        "from tests.streams import FreeWriter\n"
        f"FreeWriter(pathlib.Path({str(run.events_path)!r})).write('step', step=1)\n"
        f"sys.stderr.write({first_words('test')!r} + {message!r})\n"
        "sys.stderr.flush()\n"
        f"os.kill(os.getpid(), {int(signal.SIGABRT if message else signal.SIGKILL)})\n"
    )
    return [sys.executable, "-c", script]


def supervised(run: Run, deaths: list[str], restarts: int, monkeypatch: Any) -> tuple[int, int]:
    """Supervise trainers that die one after the other; return exit code and number of starts."""
    started: list[str] = []

    def command(module: str, *arguments: str) -> list[str]:
        message = deaths[len(started)] if len(started) < len(deaths) else ""
        started.append(message)
        return dying(run, message) if len(started) <= len(deaths) else [sys.executable, "-c", ""]

    monkeypatch.setattr(child, "command", command)
    monkeypatch.setattr(supervisor, "PAUSE_S", 0)
    monkeypatch.setattr(supervisor, "PAUSE_ROOM_S", 0)
    with lock.locked(run.path) as held:
        code = supervisor.supervise(run, os.dup(held), restarts)
    return code, len(started)


@pytest.fixture
def fresh() -> Run:
    run = launch.create_run(load_recipe(find_recipe("tiny")), "fresh")
    run.note(plan=PLAN)
    return run


def test_after_n_restarts_a_run_is_given_up(fresh: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    deaths = list(MESSAGES.values())
    assert supervised(fresh, deaths, 2, monkeypatch) == (1, 3)
    assert supervised(fresh, deaths, 9, monkeypatch) == (0, len(deaths) + 1)


def test_after_a_second_kill_in_a_row_the_chunks_get_smaller(
    fresh: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert supervised(fresh, [""], 5, monkeypatch) == (0, 2)
    assert fresh.info().largest_chunk is None
    assert supervised(fresh, ["", ""], 5, monkeypatch) == (0, 3)
    assert fresh.info().largest_chunk == 1024


def test_a_detached_run_is_known_by_the_process_that_trains_it(endless: Path) -> None:  # noqa: F811
    run = launch.start(load_recipe(endless), "endless")
    pid = lock.holder(run.path)
    assert pid and pid != os.getpid()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not run.is_locked())
    assert run.status() == "died"


def test_a_run_that_was_asked_to_stop_is_not_started_again(
    fresh: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.request_stop()
    assert supervised(fresh, list(MESSAGES.values()), 5, monkeypatch)[1] == 1


def test_after_an_out_of_memory_the_chunks_get_smaller_each_time(fresh: Run) -> None:
    chunks = []
    for chunk in (None, 1024, 40, 32):
        fresh.note(plan=PLAN | {"chunk": chunk})
        fresh.console_path.write_text(first_words("test") + MESSAGES["out of memory"])
        warning = supervisor.shrink(fresh)
        assert warning is not None and "there was not enough memory" in warning[0]
        chunks.append(fresh.info().largest_chunk)
        assert fresh.info().limit_gb == pytest.approx(2.6)
    assert chunks == [1024, 512, 32, 32]


def test_after_the_watchdog_chunks_are_smaller_and_after_a_kill_nothing_changes(fresh: Run) -> None:
    fresh.note(plan=PLAN | {"chunk": 512})
    fresh.console_path.write_text(first_words("test"))
    assert supervisor.shrink(fresh) is None
    fresh.console_path.write_text(first_words("test") + MESSAGES["GPU watchdog"])
    assert supervisor.shrink(fresh) is not None
    assert fresh.info().largest_chunk == 256 and fresh.info().limit_gb is None


def test_how_a_run_goes_on_is_not_read_from_its_events(fresh: Run) -> None:
    fresh.note(plan=PLAN | {"chunk": 512})
    FreeWriter(fresh.events_path).write("plan", chunk=64, model_gb=9.0, step_gb=9.0)
    fresh.console_path.write_text(first_words("test") + MESSAGES["out of memory"])
    assert supervisor.shrink(fresh) is not None
    assert fresh.info().largest_chunk == 256
    assert fresh.info().limit_gb == pytest.approx(2.6)


def test_a_run_that_ran_out_of_memory_goes_on_in_chunks_and_learns_the_same(
    yofo: Any,
    short: Path,  # noqa: F811
) -> None:
    settings = ("train.steps=3", "train.checkpoint_every=1", "episodes.max_tokens=200")
    assert yofo("train", short, *[part for s in settings for part in ("--set", s)])[0] == 0
    run = listing.list_runs()[0]
    losses = [event["loss"] for event in run.events() if event["kind"] == "step"]
    shutil.rmtree(run.checkpoint_path(3))
    lines = run.events_path.read_text().splitlines(keepends=True)
    run.events_path.write_text("".join(lines[:-1]))  # it has not finished
    with run.console_path.open("a") as console:
        console.write(first_words("test") + MESSAGES["out of memory"])
    assert yofo("resume", "last")[0] == 0
    events = list(run.events())
    assert [e["loss"] for e in events if e["kind"] == "step"] == pytest.approx(losses, rel=1e-4)
    plans = [event["chunk"] for event in events if event["kind"] == "plan"]
    assert plans[0] is None and 0 < plans[1] <= 1024
    assert any("in chunks of at most" in e.get("message", "") for e in events)
    assert Path(run.path / "past.jsonl").exists()


def test_a_run_that_has_only_loaded_does_not_go_on_from_anything() -> None:
    run = launch.create_run(load_recipe(find_recipe("tiny")), "detached")
    with lock.locked(run.path):
        writer = FreeWriter(run.events_path)
        heard = follow(run)
        writer.write("loading", process=1)
        assert next(heard)["kind"] == "loading"
        writer.roll_back(0, 0)
        writer.write("started", run_id=run.run_id)
        assert next(heard)["kind"] == "started"
        writer.roll_back(0, 0)  # as after a kill before the first checkpoint
        writer.write("started", run_id="again")
        assert [next(heard)["kind"] for _ in range(2)] == ["resumed", "started"]


def test_a_run_taken_to_a_smaller_machine_is_planned_for_that(
    yofo: Any,
    short: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (
        yofo("train", short, "--set", "train.steps=2", "--set", "train.checkpoint_every=1")[0] == 0
    )
    run = listing.list_runs()[0]
    planned = run.info().limit_gb
    assert planned and run.info().plan
    shutil.rmtree(run.checkpoint_path(2))
    lines = run.events_path.read_text().splitlines(keepends=True)
    run.events_path.write_text("".join(lines[:-1]))  # it has not finished
    plan = run.info().plan
    assert plan is not None
    run.note(limit_gb=1e6, plan=plan.model_dump() | {"step_gb": 1e5})
    with monkeypatch.context() as patched:
        patched.setattr("yofo_mlx.system.memory.main_memory", lambda: 1_000_000)
        code, _, err = yofo("resume", "last")
    assert code == 4 and "of memory; there are" in err
    assert yofo("resume", "last")[0] == 0
    told = [event["message"] for event in run.events() if event["kind"] == "warning"]
    assert any("the run was planned for 115000.0 GB of memory, there are" in it for it in told)
    assert run.info().limit_gb == planned


def test_ctrl_c_while_a_run_is_born_leaves_one_that_goes_on(
    yofo: Any,
    short: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create = launch.create_run

    def interrupted(*arguments: Any) -> Run:
        run = create(*arguments)
        os.kill(os.getpid(), signal.SIGINT)
        return run

    with monkeypatch.context() as patched:
        patched.setattr(launch, "create_run", interrupted)
        code, _, err = yofo("train", short, "--set", "train.steps=1")
    run = listing.list_runs()[0]
    assert code == 130 and run.status() == "stopped" and f"yofo resume {run.run_id}" in err
    assert yofo("resume", "last")[0] == 0 and run.status() == "finished"


def test_a_run_whose_folder_could_not_be_written_whole_is_no_run(
    yofo: Any,
    short: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*arguments: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "to_toml", interrupt)
    assert yofo("train", short)[0] == 130
    assert not list(paths.runs().iterdir())
