"""A run leaves before memory ends, and goes on to the adapter it would have had."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from yofo_mlx.planning import machine
from yofo_mlx.planning.machine import find_planner, is_smaller
from yofo_mlx.runs import launch, listing, lock, supervisor
from yofo_mlx.runs.diagnosis import SHORT, explain
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import PlanInfo, RunInfo
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import control_group, main_memory
from yofo_mlx.system.memory import MemoryLimit, reserve
from yofo_mlx.training import memory_watch
from yofo_mlx.training.memory_watch import MemoryWatch

GB = 10**9
RECIPE = """
model = "tiny"
lora = { rank = 4 }
episodes = { max_tokens = 200 }
memory = { method = "plain" }
evaluation = { valid_tasks = 1, queries = 2, shots = [0] }
train = { steps = 3, eval_every = 2, checkpoint_every = 3 }
[[tasks]]
source = "tiny:topic-01"
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory_watch, "EVERY_S", 0.0)
    path = tmp_path / "short.toml"
    path.write_text(RECIPE)
    return path


def free_for(looks: int) -> Callable[[], int]:
    """Return what tells of plenty so often, then of nothing."""
    left = iter([64 * GB] * looks)
    return lambda: next(left, 0)


def losses(run: Run) -> list[float]:
    return [event["loss"] for event in run.events() if event["kind"] == "step"]


def adapter(run: Run) -> bytes:
    return (run.adapter_path / "adapters.safetensors").read_bytes()


def test_a_run_leaves_when_memory_runs_short_and_goes_on_as_if_it_had_not_or_thinner(
    yofo: Any, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert yofo("train", recipe, "--name", "whole")[0] == 0
    whole, runs = listing.find("whole"), []
    for name, looks in (("early", 1), ("midway", 6)):
        with monkeypatch.context() as pressed:
            pressed.setattr(memory_watch, "free_for_arrays", free_for(looks))
            code, _, err = yofo("train", recipe, "--name", name)
        assert code == 5 and "memory ran short" in err and "`yofo resume`" in err
        assert "Traceback" not in err
        assert yofo("watch", name)[0] == 5  # so does who looked on, as under --restarts
        run = listing.find(name)
        runs.append(run)
        death, steps = explain(run), len(losses(run))
        assert run.status() == "failed" and death and death.cause == SHORT
        assert run.checkpoint_path(steps).is_dir() and steps < 3
    same, thin = runs
    assert yofo("resume", "early")[0] == 0
    assert adapter(same) == adapter(whole) and losses(same) == losses(whole)
    plan = thin.info().plan
    assert plan is not None
    less = MemoryLimit(int(1e9 * (plan.model_gb + 0.6 * plan.step_gb)), "what is free now")
    monkeypatch.setattr(machine, "limit_now", lambda limit_gb: less)
    code, _, err = yofo("resume", "midway")
    assert code == 0 and "smaller pieces" in err
    plans = [event["chunk"] for event in thin.events() if event["kind"] == "plan"]
    assert plans[0] is None and plans[-1] is not None
    assert losses(thin) == pytest.approx(losses(whole), rel=1e-4)


class Machine:
    """Tells of a machine whose memory others take after a run's first step; when it is started
    again they have given back what chunks need, not what whole episodes do."""

    def __init__(self, run: Run) -> None:
        self.run, self.starts = run, 0

    def read_text(self, encoding: str) -> str:
        free, plan = 64 * GB, self.run.info().plan
        if self.starts == 1 and losses(self.run):
            free = 0
        elif self.starts == 2 and plan is not None:
            left = reserve() + GB * (plan.model_gb + 0.6 * plan.step_gb)
            free = int(left) - mx.get_active_memory() - mx.get_cache_memory()
        return f"MemAvailable: {free // 1024} kB"


def test_under_restarts_a_run_leaves_and_goes_on_thinner_by_itself(
    yofo: Any, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, codes = launch.create_run(load_recipe(recipe), "pressed"), []
    machine = Machine(run)

    class Trainer:  # in this process: one of its own takes seconds to load
        pid = os.getpid()

        def wait(self) -> int:
            machine.starts += 1
            codes.append(yofo("resume", run.path, "--lock", str(os.dup(held))))
            return int(codes[-1][0])

    monkeypatch.setattr(launch, "spawn", lambda *_, **__: Trainer())
    monkeypatch.setattr(main_memory, "MEMINFO", machine)
    monkeypatch.setattr(control_group, "free", lambda size: ())
    monkeypatch.setattr(supervisor, "PAUSE_ROOM_S", 0)
    with lock.locked(run.path) as held:
        assert supervisor.supervise(run, os.dup(held), restarts=2) == 0
    [(left, _, why), (done, _, told)] = codes
    assert (left, done) == (5, 0) and run.status() == "finished" and len(losses(run)) == 3
    assert "memory ran short: 0 B are free" in why
    assert "it is started again (2 times left)" in told and "smaller pieces" in told
    chunks = [event["chunk"] for event in run.events() if event["kind"] == "plan"]
    assert chunks[0] is None and chunks[-1] is not None


def test_what_the_whole_process_takes_is_in_the_events_and_in_what_lists_runs(
    yofo: Any, recipe: Path
) -> None:
    assert yofo("train", recipe, "--name", "whole", "--set", "train.steps=1")[0] == 0
    [step] = [event for event in listing.find("whole").events() if event["kind"] == "step"]
    assert step["footprint_gb"] > step["peak_gb"]  # Python and its libraries, too
    [row] = json.loads(yofo("runs", "--json")[1])
    assert row["footprint_gb"] == step["footprint_gb"]


def test_a_run_keeps_its_ways_where_they_fit_what_is_free_though_its_limit_does_not(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = load_recipe(recipe)
    device = find_planner(made)
    assert device is not None
    way = device.longest_step(made)
    monkeypatch.setattr(
        machine, "limit_now", lambda limit_gb: MemoryLimit(device.needed(way) + 1, "free")
    )
    assert find_planner(made) == device
    monkeypatch.setattr(
        machine, "limit_now", lambda limit_gb: MemoryLimit(device.needed(way) - 1, "free")
    )
    thinner = find_planner(made)
    assert thinner is not None and thinner.limit < device.limit
    assert find_planner(made, whole=True) == device
    plan = PlanInfo(model_gb=0.1, step_gb=0.1, validation_gb=5.0)
    assert is_smaller(made, RunInfo(limit_gb=20.0, plan=plan))  # of its validation
    assert not is_smaller(made, RunInfo())


def test_what_a_watch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_watch, "EVERY_S", 0.0)
    never = MemoryWatch()
    assert not never.is_short() and not never.beside(lambda: False)()
    never.complain()
    free = 3 * GB
    monkeypatch.setattr(memory_watch, "free_for_arrays", lambda: free)
    watch = MemoryWatch(100 * GB, floor=GB, expected=100 * GB)
    watch.begin(1)
    assert watch.is_short() and "memory ran short: 3.0 GB are free" in watch.reason
    free = 300 * GB
    assert watch.is_short()  # it stays so: the loop asks more than once
    assert MemoryWatch(100 * GB, floor=GB, expected=100 * GB).is_short() is False
    held = MemoryWatch(1)
    held.begin(1)
    monkeypatch.setattr(memory_watch, "footprint", lambda: 50 * GB)
    assert held.is_short() and held.reason.startswith("ran out of memory")
