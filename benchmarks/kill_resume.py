"""Kill a training process again and again, resume it, compare with one that was left alone.

    python benchmarks/kill_resume.py --times 50

Every run is killed with SIGKILL at one or more moments: at random, inside a step, in the writing of
a checkpoint, in a validation. After every kill all files of its folder are read. At the end
events (but for clocks and what depends on them) and the bytes of adapter and last checkpoint are
compared.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measurements

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx

from yofo_mlx.runs import launch
from yofo_mlx.runs.events import Event, parse
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import child
from yofo_mlx.system.files import PART
from yofo_mlx.training.checkpoints import list_checkpoints

RECIPE = """
model = "tiny"
lora = { rank = 4, dropout = 0.1 }
episodes = { max_tokens = 96 }
memory = { method = "chunked", chunk = 64, stash = 2 }
evaluation = { valid_tasks = 3, queries = 2, shots = [0, 2] }
[train]
steps = 11
eval_every = 3
patience = 3
checkpoint_every = 2
batch_size = 2
grad_accumulation_steps = 2
"""
TASKS = ("colour", "taste", "place")
# What a clock or the machine's other work has a say in.
MEASURED = frozenset(
    "t seconds seconds_left tokens_per_s targets_per_s peak_gb memory_gb footprint_gb"
    " run_id".split()
)
MOMENTS = ("random", "step", "checkpoint", "evaluation")


def begin(home: Path) -> Run:
    """Create a run without starting it."""
    os.environ["YOFO_HOME"] = str(home)
    return launch.create_run(load_recipe(write_recipe(home)), "kill")


def write_recipe(home: Path) -> Path:
    """Write a recipe with a few small tasks: a process begins to train in seconds."""
    text = RECIPE
    for task in TASKS:
        rows = [{"input": f"{task} {i}", "output": task[i % len(task)]} for i in range(40)]
        data = home / f"{task}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        text += f"[[tasks]]\nsource = {str(data)!r}\n"
    path = home / "kill.toml"
    path.write_text(text)
    return path


def start(run: Run) -> "subprocess.Popen[bytes]":
    """Train a run in a process that ends when it does."""
    return subprocess.Popen(
        child.command("yofo_mlx.cli", "resume", str(run.path)),
        env=child.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def train_to_the_end(run: Run) -> None:
    if start(run).wait():
        raise SystemExit(f"{run.path} failed: {run.console_path.read_text()}")


def kill_at(run: Run, moment: str, draw: random.Random) -> str:
    """Train until a moment of this kind, kill, and return where the kill fell."""
    before = len(_lines(run))
    more = draw.randint(0, 6)  # lines, not seconds: a fast machine may not be done before
    process = start(run)
    while process.poll() is None:
        if moment == "random" and len(_lines(run)) >= before + more:
            time.sleep(draw.uniform(0, 0.05 if more else 1.0))
            break
        if moment == "step" and len(_lines(run)) > max(before, draw.randint(3, 14)):
            time.sleep(draw.uniform(0, 0.05))
            break
        if moment == "checkpoint" and _half_written(run) and draw.random() < 0.3:
            break
        if moment == "evaluation" and _last_kind(run) == "progress" and draw.random() < 0.2:
            break
        time.sleep(0.0005)
    process.kill()
    process.wait()
    if process.returncode == 0:
        return "too late"
    return "inside a checkpoint's writing" if _half_written(run) else f"at {_last_kind(run)}"


def _half_written(run: Run) -> bool:
    places = (run.checkpoints_path, run.adapter_path, run.path)
    return any(name.startswith(PART) for place in places for name in _names(place))


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def _lines(run: Run) -> list[bytes]:
    try:
        return run.events_path.read_bytes().splitlines()
    except OSError:
        return []


def _last_kind(run: Run) -> str:
    events = [event for line in _lines(run)[-3:] if (event := parse(line))]
    return str(events[-1]["kind"]) if events else "start"


def read_everything(run: Run) -> None:
    """Read every file of a run folder as its readers do; at most the last line may be torn."""
    tomllib.loads(run.recipe_path.read_text())
    json.loads((run.path / "run.json").read_text())
    lines = _lines(run)
    assert all(parse(line) for line in lines[:-1]), "a damaged line in events.jsonl"
    for path in [*list_checkpoints(run), run.adapter_path]:
        for file in path.glob("[!.]*.safetensors"):
            mx.eval(mx.load(str(file)))
        for file in path.glob("[!.]*.json"):
            json.loads(file.read_text())
    if run.adapter_path.exists():
        assert {"adapters.safetensors", "adapter_config.json"} <= set(_names(run.adapter_path))


def outcome(run: Run) -> tuple[list[Event], list[bytes]]:
    """Return what must be the same in two runs: events without clocks, and weights."""
    events = [
        {key: value for key, value in event.items() if key not in MEASURED}
        for event in run.events()
        if event["kind"] != "progress"
    ]
    newest = list_checkpoints(run)[0]
    files = [*run.adapter_path.glob("*"), *newest.glob("*.safetensors")]
    return events, [path.read_bytes() for path in sorted(files)]


def kill_and_resume(home: Path, moments: list[str], draw: random.Random) -> tuple[Run, list[str]]:
    """Train a run that is killed at these moments; return it and where the kills fell."""
    run = begin(home)
    fell = []
    for moment in moments:
        fell.append(kill_at(run, moment, draw))
        read_everything(run)
    train_to_the_end(run)
    return run, fell


def difference(run: Run, whole: Run) -> str:
    """Return the first thing in which two runs differ, empty if they are the same."""
    (events, weights), (others, expected) = outcome(run), outcome(whole)
    for ours, theirs in zip(events, others, strict=False):
        if ours != theirs:
            return f"{ours} instead of {theirs}"
    if len(events) != len(others):
        return f"{len(events)} instead of {len(others)} events"
    return "" if weights == expected else "other weights"


def many(times: int, seed: int, home: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield for each run what differs from the one that was left alone, and where kills fell."""
    whole = begin(home)
    train_to_the_end(whole)
    draw = random.Random(seed)
    for number in range(times):
        moments = [MOMENTS[number % len(MOMENTS)], *draw.choices(MOMENTS, k=draw.randint(0, 2))]
        run, fell = kill_and_resume(home, moments, draw)
        yield difference(run, whole), fell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    measurements.add_option(parser)
    arguments = parser.parse_args()
    places: Counter[str] = Counter()
    same = 0
    with tempfile.TemporaryDirectory() as home:
        for number, (found, fell) in enumerate(many(arguments.times, arguments.seed, Path(home))):
            same += not found
            places.update(fell)
            print(f"{number + 1:>3}  {found or 'same'}  (killed {'; '.join(fell)})")
            sys.stdout.flush()
    report: dict[str, Any] = {"runs": arguments.times, "identical": same, "kills": dict(places)}
    measurements.keep(arguments.table, report, method="killed and resumed", model="tiny")
    print(json.dumps(report))
    sys.exit(same != arguments.times)


if __name__ == "__main__":
    main()
