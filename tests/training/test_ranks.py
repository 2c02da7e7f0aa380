"""Ranks that train one run: what they share, and that it is the run of one process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from yofo_mlx.cli.training import train
from yofo_mlx.errors import RecipeError
from yofo_mlx.models.adapter_files import WEIGHTS_FILE
from yofo_mlx.runs.events import last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system import launcher
from yofo_mlx.system.arrays import load_arrays
from yofo_mlx.training.ranks import Ranks, _ask_for_life, _open_sockets

SMALL = (
    "tasks.0.source=tiny:topic-01",
    "episodes.max_tokens=96",
    "lora.dropout=0.1",
    "evaluation.valid_tasks=1",
    "evaluation.queries=2",
    "train.steps=4",
    "train.eval_every=2",
    "train.checkpoint_every=2",
)
ENDLESS = ("train.steps=100000", "evaluation.valid_tasks=0", "train.eval_every=100000")


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process be rank 1 of 3."""
    hosts = tmp_path / "hosts"
    hosts.write_text(json.dumps([["127.0.0.1:1"]] * 3))
    monkeypatch.setenv("MLX_HOSTFILE", str(hosts))
    monkeypatch.setenv("MLX_RANK", "1")


def test_a_process_is_alone_unless_it_was_launched_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLX_RANK", raising=False)
    assert (launcher.rank(), launcher.count(), launcher.is_follower()) == (0, 1, False)
    monkeypatch.setenv("MLX_RANK", "0")
    (tmp_path / "one").write_text("")  # what mlx.launch writes for one host
    monkeypatch.setenv("MLX_HOSTFILE", str(tmp_path / "one"))
    assert launcher.count() == 1


def test_ranks_share_the_passes_of_an_update_in_turn(launched: None) -> None:
    assert (launcher.rank(), launcher.count(), launcher.is_follower()) == (1, 3, True)
    shares = [Ranks(rank, 3).share("abcd") for rank in range(3)]
    assert shares == [[(0, "a"), (3, "d")], [(1, "b")], [(2, "c")]]


def test_ranks_make_updates_larger_and_the_recipe_says_so() -> None:
    request = RecipeRequest(["tiny"], ["train.grad_accumulation_steps=2"])
    assert request.of_ranks(1) is request
    assert request.of_ranks(3).load().train.grad_accumulation_steps == 6
    by_tokens = RecipeRequest(["tiny"], ["train.batch_tokens=500"]).of_ranks(2)
    assert by_tokens.load().train.batch_tokens == 1000


def test_a_launched_run_is_not_left_alone(launched: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in "01":
        monkeypatch.setenv("MLX_RANK", rank)
        with pytest.raises(RecipeError, match="--detach under"):
            train(["tiny"], ["evaluation.valid_tasks=0"], detach=True)
        with pytest.raises(RecipeError, match="--restarts under"):
            train(["tiny"], ["evaluation.valid_tasks=0"], restarts=2)


def test_a_connection_is_asked_for_a_sign_of_life_and_no_descriptor_is_left_open() -> None:
    before = len([*Path("/dev/fd").iterdir()])
    one, other = socket.socketpair()
    with one, other, socket.socket() as tcp:
        assert {one.fileno(), other.fileno(), tcp.fileno()} <= _open_sockets()
        _ask_for_life(tcp.fileno())
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert len([*Path("/dev/fd").iterdir()]) == before


def launch(home: Path, *words: str) -> "subprocess.Popen[str]":
    """Start `yofo train` on two ranks, as a user does."""
    with socket.socket() as free:  # and the port after it, most likely
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    beside = Path(sys.executable).parent
    return subprocess.Popen(
        [beside / "mlx.launch", "-n", "2", "-p", str(port), "--", beside / "yofo", *words],
        env=os.environ | {"YOFO_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def alone(home: Path, *words: str) -> int:
    yofo = Path(sys.executable).with_name("yofo")
    return subprocess.run([yofo, *words], env=os.environ | {"YOFO_HOME": str(home)}).returncode


def settings(*more: str) -> list[str]:
    return [word for override in (*SMALL, *more) for word in ("--set", override)]


def only_run(home: Path, name: str) -> Run:
    (path,) = (home / "runs").glob(f"*-{name}")
    return Run(path)


def trainer_of(rank: int, run_or_word: str) -> int:
    """Return the process that trains as a rank."""
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            variables = (folder / "environ").read_bytes().decode().split("\0")
        except (OSError, ValueError):
            continue
        mine = f"MLX_RANK={rank}" in variables and f"YOFO_HOME={run_or_word}" in variables
        if mine and any("yofo" in word for word in words):
            return int(folder.name)
    raise LookupError(rank)


def wait_for_step(home: Path, name: str, step: int, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not any(
        int(path.name) >= step for path in (home / "runs").glob(f"*-{name}/checkpoints/0*[0-9]")
    ):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_ranks_give_the_run_of_one_process_with_doubled_accumulation(tmp_path: Path) -> None:
    ranks = launch(tmp_path, "train", "tiny", *settings(), "--name", "two")
    output, _ = ranks.communicate(timeout=600)
    assert "2 ranks share every update: train.grad_accumulation_steps=2" in output
    doubled = settings("train.grad_accumulation_steps=2")
    assert alone(tmp_path, "train", "tiny", *doubled, "--name", "one") == 0
    two, one = only_run(tmp_path, "two"), only_run(tmp_path, "one")
    assert len([*(tmp_path / "runs").iterdir()]) == 2  # rank 1 wrote nothing
    losses = [
        [event["loss"] for event in run.events() if event["kind"] in ("step", "eval")]
        for run in (one, two)
    ]
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    weights = [load_arrays(run.adapter_path / WEIGHTS_FILE) for run in (one, two)]
    for name in weights[0]:
        np.testing.assert_allclose(*(np.array(one[name]) for one in weights), atol=1e-5)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_rank_ends_all_and_one_process_goes_on(tmp_path: Path, lost: int) -> None:
    ranks = launch(tmp_path, "train", "tiny", *settings(*ENDLESS), "--name", "lost")
    wait_for_step(tmp_path, "lost", 4)
    os.kill(trainer_of(lost, str(tmp_path)), signal.SIGKILL)
    output, _ = ranks.communicate(timeout=120)
    assert "another process of the run is gone" in output and "Traceback" not in output
    run = only_run(tmp_path, "lost")
    if lost == 1:
        last = last_event(run.events_path)
        assert last is not None and last["kind"] == "failed" and last["cause"] == "lost rank"
    assert run.status() in ("failed", "died")
    step = max(int(path.name) for path in run.checkpoints_path.iterdir())
    more = f"train.steps={step + 2}"
    assert alone(tmp_path, "resume", "last", "--set", more) == 0
    assert run.status() == "finished"
