"""Real trainers in processes of their own, on data that is read in a moment."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx import cli
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import child

STEPS = 30
RECIPE = """
model = "tiny"
lora = {{ rank = 4 }}
episodes = {{ max_tokens = 100, draw = "full" }}
evaluation = {{ valid_tasks = 1, queries = 1, shots = [0] }}
train = {{ steps = {steps}, checkpoint_every = 10 }}
[[tasks]]
source = "{rows}"
"""


def write_recipe(folder: Path, steps: int) -> Path:
    """Write a recipe and its data; a step takes some hundredths of a second."""
    rows = folder / "rows.jsonl"
    rows.write_text("".join(f'{{"input": "question {i}", "output": "yes"}}\n' for i in range(60)))
    path = folder / f"{steps}.toml"
    path.write_text(RECIPE.format(steps=steps, rows=rows))
    return path


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """Return a recipe that takes a few seconds."""
    return write_recipe(tmp_path, STEPS)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Return a recipe that takes hours."""
    return write_recipe(tmp_path, 100_000)


def start(*arguments: str | Path, **options: Any) -> "subprocess.Popen[Any]":
    """Run the command line in a process of its own."""
    command = child.command("yofo_mlx.cli", *map(str, arguments))
    return subprocess.Popen(command, env=child.environment(), **options)


def worked(process: int) -> float:
    """Return the CPU seconds of a process; where the system does not tell, the time of day."""
    told = Path(f"/proc/{process}/stat")
    if not told.exists():
        return time.monotonic()
    fields = told.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def trained_in(home: Path, recipe: Path) -> Run:
    """Train a recipe to its end in a home of its own; in this process, which has loaded MLX."""
    with pytest.MonkeyPatch.context() as patched, pytest.raises(SystemExit) as ended:
        patched.setenv("YOFO_HOME", str(home))
        patched.setattr("sys.argv", ["yofo", "train", str(recipe)])
        cli.main()
    assert not ended.value.code
    return Run(next((home / "runs").iterdir()))


def wait_for(condition: Callable[[], Any], seconds: float = 90) -> Any:
    """Return what a condition gives once it gives anything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def training_run(steps: int = 1) -> Run | None:
    """Return the newest run once it has made some steps."""
    found = listing.list_runs()
    enough = found and sum(event["kind"] == "step" for event in found[0].events()) >= steps
    return found[0] if enough else None
