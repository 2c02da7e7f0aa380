"""Start a small run again and again while another process takes memory beside it: is one killed?

    python benchmarks/pressure.py --times 100

Run and hog share a control group of Linux with a limit: past it the kernel kills the run, never
the hog. How much the hog takes is drawn, and whether it has it before the run begins or takes some
of it at a moment of the run, and how fast. A run that left is resumed at once under the same
pressure in a third of the cases, and in all of them once the hog has gone.

What is asked: none is killed; where the hog leaves what the forecast asks for, the run finishes
with the adapter of one that was left alone, bit for bit; the others leave with a reason, and with a
checkpoint if they had begun.

Results are kept in docs/benchmarks/pressure.json after every start; it goes on where it was.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from yofo_mlx.system import blas

blas.preload()

from yofo_mlx.planning.machine import find_planner
from yofo_mlx.planning.workload import PROCESS_BYTES
from yofo_mlx.runs import launch
from yofo_mlx.runs.diagnosis import explain
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import child, control_group
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.system.memory import LEAST_RESERVE
from yofo_mlx.training.checkpoints import list_checkpoints

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "pressure.json"
MB = 10**6
LIMIT = 1500 * MB  # of the group
ROOM = (300 * MB, 750 * MB)  # of it that the hog leaves; with less Python and MLX do not load
MORE = (100 * MB, 400 * MB)  # of what it takes that comes while the run goes on
RATE = (40 * MB, 120 * MB)  # a second; faster than that a process is killed while it leaves
OFF = 1e-3  # of a loss, after steps in other pieces: their rounding, grown by AdamW
RECIPE = """
model = "tiny"
lora = { rank = 4 }
episodes = { max_tokens = 256 }
evaluation = { valid_tasks = 1, queries = 2, shots = [0, 2] }
train = { steps = 6, batch_size = 4, eval_every = 3, checkpoint_every = 4 }
[[tasks]]
source = "tiny:topic-01"
"""
HOG = """
import sys, time
first, more, rate = map(int, sys.argv[1:])
piece, held = 2_000_000, []
def take(target, pause):
    while len(held) * piece < target:
        held.append(bytearray(b"x") * piece)
        time.sleep(pause)
take(first, 0)
print("full", flush=True)
sys.stdin.readline()
take(first + more, piece / rate)
time.sleep(3600)
"""


@contextmanager
def limited(parent: Path | None) -> Iterator[Path]:
    """Make a control group below this process's own one, or another; remove it at the end."""
    groups = control_group._groups(control_group.MOUNT, control_group.MEMBERSHIP)
    folder = (parent or groups[0][0]) / f"yofo-pressure-{os.getpid()}"
    folder.mkdir()
    try:
        name = control_group.V1.limits[0]
        name = name if (folder / name).exists() else control_group.V2.limits[0]
        (folder / name).write_text(str(LIMIT))
        yield folder
    finally:
        for _ in range(50):
            with suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.1)


def begin(group: Path, command: list[str], score: int, **more: Any) -> "subprocess.Popen[str]":
    """Start a process in a group; `score`: up to 1000, killed first."""

    def enter() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        Path("/proc/self/oom_score_adj").write_text(str(score))

    return subprocess.Popen(command, preexec_fn=enter, text=True, **more)


def train(group: Path, run: Run) -> "subprocess.Popen[str]":
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = child.command("yofo_mlx.cli", "resume", str(run.path))
    return begin(group, command, 1000, env=child.environment(), **quiet)


@contextmanager
def hog(group: Path, first: int, more: int, rate: int) -> Iterator[Callable[[], None]]:
    """Take memory, and give it back at the end; what is yielded has it take `more` at a rate."""
    command = [sys.executable, "-c", HOG, str(first), str(more), str(rate)]
    process = begin(group, command, 0, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert process.stdout and process.stdin
    pipe = process.stdin

    def grow() -> None:
        pipe.write("\n")
        pipe.flush()

    try:
        process.stdout.readline()
        yield grow
        assert process.poll() is None, "the hog was killed in the run's place"
    finally:
        process.kill()
        process.communicate()


def outcome(run: Run, code: int) -> dict[str, Any]:
    """Return how a process ended, and what it said."""
    how = {0: "finished", 4: "refused", 5: "left", -9: "killed"}.get(code, f"code {code}")
    death = explain(run) if code else None
    steps = sum(event["kind"] == "step" for event in run.events())
    saved = [path.name for path in list_checkpoints(run)][:1]
    why = {"why": death.message} if death else {}
    return {"how": how, "steps": steps, "checkpoint": bool(saved)} | why


def pressed(group: Path, run: Run, drawn: dict[str, Any]) -> dict[str, Any]:
    """Train under pressure, as it was drawn."""
    target, more = LIMIT - drawn["room_mb"] * MB, drawn["more_mb"] * MB
    with hog(group, target - more, more, drawn["mb_per_s"] * MB) as grow:
        before, process = _lines(run), train(group, run)
        while more and process.poll() is None and _lines(run) < before + drawn["arrives"]:
            time.sleep(0.005)
        grow()
        return outcome(run, process.wait())


def _lines(run: Run) -> int:
    try:
        return run.events_path.read_bytes().count(b"\n")
    except OSError:
        return 0


def adapter(run: Run) -> str:
    path = run.adapter_path / "adapters.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def losses(run: Run) -> list[float]:
    return [event["loss"] for event in run.events() if event["kind"] == "step"]


def is_thinner(run: Run) -> bool:
    """Tell whether some of a run's steps were taken in chunks; with enough memory none is."""
    return any(event["chunk"] for event in run.events() if event["kind"] == "plan")


def draw(seed: int, number: int, lines: int) -> dict[str, Any]:
    """Draw how much room a start has, when the hog comes, how fast, and what follows."""
    dice = random.Random(f"{seed}/{number}")
    moving = dice.random() < 0.6
    return {
        "number": number,
        "room_mb": round(dice.uniform(*ROOM) / MB),
        "more_mb": round(dice.uniform(*MORE) / MB) if moving else 0,
        "mb_per_s": round(dice.uniform(*RATE) / MB),
        "arrives": dice.randint(1, lines // 2),  # after so many events
        "again": dice.random() < 1 / 3,
    }


def one(group: Path, home: Path, drawn: dict[str, Any], whole: Run, needed: int) -> dict[str, Any]:
    """Make a start; return what was drawn, how it went, and whether that is as it should be."""
    run = launch.create_run(load_recipe(home / "pressure.toml"), "pressed")
    told = [pressed(group, run, drawn)]
    if told[0]["how"] in ("left", "refused") and drawn["again"]:
        again = drawn | {"more_mb": 0}
        told.append(pressed(group, run, again))
    if told[-1]["how"] in ("left", "refused"):
        told.append(outcome(run, train(group, run).wait()))
    same = adapter(run) == adapter(whole)
    pairs = zip(losses(run), losses(whole), strict=False)
    off = max((abs(a - b) / b for a, b in pairs), default=0.0)
    enough = drawn["room_mb"] * MB >= needed
    first, last = told[0], told[-1]
    faults = [f"{end['how']} ({number})" for number, end in enumerate(told) if _is_wrong(end)]
    if enough and first["how"] != "finished":
        faults.append("left, with enough memory")
    if last["how"] != "finished":
        faults.append("did not finish without pressure")
    if not same and (enough or not is_thinner(run)):
        faults.append("another adapter")
    if off > OFF:
        faults.append("other losses")
    known = {"enough": enough, "ends": told, "same": same, "thinner": is_thinner(run)}
    return drawn | known | {"losses_off": off, "faults": faults}


def _is_wrong(end: dict[str, Any]) -> bool:
    if end["how"] == "left":
        return not (end["checkpoint"] and end["why"])
    return end["how"] not in ("finished", "refused")


def prepare(group: Path, home: Path) -> tuple[Run, dict[str, Any]]:
    """Train a run that is left alone; return it, and what the forecast asks for in all."""
    os.environ["YOFO_HOME"] = str(home)
    path = home / "pressure.toml"
    path.write_text(RECIPE)
    recipe = load_recipe(path)
    planner = find_planner(recipe, whole=True)
    assert planner is not None
    whole = launch.create_run(recipe, "whole")
    if train(group, whole).wait():
        raise SystemExit(whole.console_path.read_text())
    plan = planner.needed(planner.longest_step(recipe))
    figures = {"limit_mb": LIMIT / MB, "step_mb": plan / MB, "process_mb": PROCESS_BYTES / MB}
    needed = plan + PROCESS_BYTES + LEAST_RESERVE
    held = max(event["footprint_gb"] for event in whole.events() if event["kind"] == "step")
    figures |= {"reserve_mb": LEAST_RESERVE / MB, "needed_mb": needed / MB}
    return whole, figures | {"undisturbed_footprint_mb": held * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--group", type=Path, help="control group to make one in")
    given = parser.parse_args()
    starts = json.loads(given.out.read_text())["starts"] if given.out.exists() else []
    done = {start["number"] for start in starts}
    with tempfile.TemporaryDirectory() as folder, limited(given.group) as group:
        whole, figures = prepare(group, Path(folder))
        for number in sorted(set(range(given.times)) - done):
            drawn = draw(given.seed, number, _lines(whole))
            told = one(group, Path(folder), drawn, whole, int(figures["needed_mb"] * MB))
            starts.append(told)
            keep(given.out, figures, starts)
            ends = ", then ".join(end["how"] for end in told["ends"])
            print(f"{number:>3}  {drawn['room_mb']:>4} MB  {ends}  {told['faults'] or 'well'}")
            sys.stdout.flush()
    sys.exit(any(start["faults"] for start in starts))


def keep(path: Path, figures: dict[str, Any], starts: list[dict[str, Any]]) -> None:
    """Write all results, and their sum."""
    ends = Counter(start["ends"][0]["how"] for start in starts)
    enough = [start for start in starts if start["enough"]]
    summary = {
        "starts": len(starts),
        "first_ends": dict(ends),
        "killed": sum(end["how"] == "killed" for start in starts for end in start["ends"]),
        "with_enough": len(enough),
        "of_them_same_adapter": sum(start["same"] for start in enough),
        "thinner": sum(start["thinner"] for start in starts),
        "with_faults": sum(bool(start["faults"]) for start in starts),
    }
    found = versions_and_machine()
    machine = {name: found[name] for name in ("device", "system", "versions", "git_commit")}
    content = {"summary": summary, "machine": machine, "figures": figures, "recipe": RECIPE}
    rows = ",\n".join(json.dumps(start) for start in starts)
    text = json.dumps(content, indent=1)[:-2] + f',\n "starts": [\n{rows}\n ]\n}}\n'
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


if __name__ == "__main__":
    main()
