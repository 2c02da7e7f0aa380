"""A run leaves before memory ends, and goes on to the adapter it would have had."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.planning import machine
from yofo_mlx.planning.machine import find_planner, is_smaller
from yofo_mlx.runs import listing
from yofo_mlx.runs.diagnosis import SHORT, explain
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import PlanInfo, RunInfo
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.runs.supervisor import SURVIVED
from yofo_mlx.system.memory import MemoryLimit
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
    assert SHORT in SURVIVED


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
