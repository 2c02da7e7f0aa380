"""Asking a run to end, from outside: after its step, or at once."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.processes import endless, start, training_run, wait_for  # noqa: F401
from tests.streams import FreeWriter
from yofo_mlx.commands import stop
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs import launch, listing, lock
from yofo_mlx.runs.events import last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.training.checkpoints import list_checkpoints
from yofo_mlx.training.stop import StopRequest


@pytest.fixture
def fresh() -> Run:
    return launch.create_run(load_recipe(find_recipe("tiny")), "fresh")


def test_a_plain_stop_names_the_harder_one_and_so_does_a_second(yofo: Any, fresh: Run) -> None:
    with lock.locked(fresh.path):
        for words in ("will finish its step", "was asked before"):
            code, _, err = yofo("stop", "last")
            assert code == 0 and words in err and f"`yofo stop {fresh.run_id} --now`" in err
        assert fresh.status() == "stopping" and not fresh.must_leave()


def test_now_is_urgent_and_a_plain_stop_after_it_does_not_soften_it(fresh: Run) -> None:
    request = StopRequest()
    request.of(fresh)
    assert not request.is_requested() and not request.is_urgent()
    fresh.request_stop()
    assert request.is_requested() and not request.is_urgent()
    for now in (True, False, True):
        fresh.request_stop(now=now)
        assert request.is_requested() and request.is_urgent()
    with pytest.raises(KeyboardInterrupt), request.at_once():
        raise AssertionError("it was asked before it began to load")


@pytest.mark.long
def test_a_process_that_does_not_answer_is_named_and_leaves_once_it_can(
    yofo: Any,
    endless: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stop, "ANSWER_S", 0.5)
    process = start("train", endless, "--detach")
    assert process.wait() == 0
    run = wait_for(training_run)
    pid = lock.holder(run.path)
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        code, _, err = yofo("stop", "last", "--now")
        assert code == 1 and f"it is process {pid}" in err and f"kill -9 {pid}" in err
        assert len(err.splitlines()) == 2
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not run.is_locked())
    last = last_event(run.events_path)
    assert last is not None and run.status() == "stopped"
    assert list_checkpoints(run)[0].name == f"{last['step']:07d}"
    code, _, err = yofo("stop", "last", "--now")
    assert code == 1 and "is not running: stopped" in err


@pytest.mark.long
def test_a_supervised_run_that_loads_ends_at_once_and_is_not_started_again(
    yofo: Any,
    endless: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stop, "ANSWER_S", 60)
    process = start("train", endless, "--detach", "--restarts", "2")
    assert process.wait() == 0
    code, _, err = yofo("stop", "last", "--now")
    run = listing.list_runs()[0]
    assert code == 0 and f"yofo resume {run.run_id}" in err
    assert not run.is_locked() and run.status() == "stopped"
    assert all(event["kind"] != "step" for event in run.events())


def test_a_run_left_while_it_loads_says_so_and_claims_no_checkpoint(yofo: Any, fresh: Run) -> None:
    writer = FreeWriter(fresh.events_path)
    writer.write("stopped", step=0, reason="interrupted while loading")
    fresh.lock_path.touch()
    _, _, err = yofo("watch", "last")
    assert "stopped: interrupted while loading" in err and "saved" not in err
