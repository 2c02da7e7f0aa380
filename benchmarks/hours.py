"""Compare how long a run was said to take with how long it took, after one earlier run.

    python benchmarks/hours.py --out /tmp/hours

One run of the embedded model is all that is known; then others are planned and trained: of other
lengths, in other batches, in chunks. Each is planned from the first one, and the first from each.
A second is one of a clock; those of the CPU, which other programs on the machine disturb less, are
forecast by the share of a core that the known run had.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from yofo_mlx.runs.folder import Run
from yofo_mlx.system import child

KNOWN = "512 tokens, 2 together"
CASES = {
    KNOWN: [],
    "128 tokens, 2 together": ["episodes.max_tokens=128"],
    "128 tokens, 8 together": ["episodes.max_tokens=128", "train.batch_size=8"],
    "1024 tokens": ["episodes.max_tokens=1024", "train.batch_size=1"],
    "1024 tokens, chunks of 128": [
        "episodes.max_tokens=1024",
        "train.batch_size=1",
        "memory.chunk=128",
    ],
    "512 tokens, 4 passes": ["train.grad_accumulation_steps=4", "train.batch_size=1"],
}
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--tokens", type=int, default=30_000, help="of each run")
    arguments = parser.parse_args()
    usual = [f"train.tokens={arguments.tokens}", "train.eval_every=20"]
    took = {}
    for number, (name, changes) in enumerate(CASES.items()):
        words = [arguments.recipe, *(f"--set={change}" for change in [*usual, *changes])]
        took[name] = (
            arguments.out / str(number),
            words,
            *_train(arguments.out / str(number), words),
        )
    print("| known | planned | forecast, s | took, s | | CPU forecast, s | CPU took, s | |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    others = [name for name in CASES if name != KNOWN]
    for known, planned in [
        *((KNOWN, name) for name in others),
        *((name, KNOWN) for name in others),
    ]:
        home, _, wall, cpu = took[known]
        _, words, measured, measured_cpu = took[planned]
        forecast = _plan(home, words)
        forecast_cpu = forecast * cpu / wall
        print(
            f"| {known} | {planned} | {forecast:.1f} | {measured:.1f} | {forecast / measured:.2f}"
            f" | {forecast_cpu:.1f} | {measured_cpu:.1f} | {forecast_cpu / measured_cpu:.2f} |"
        )


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    pass


def _plan(home: Path, words: list[str]) -> float:
    told = subprocess.run(
        child.command("yofo_mlx.cli", "plan", "--json", *words),
        env=child.environment() | {"YOFO_HOME": str(home)},
        check=True,
        capture_output=True,
    )
    plan: dict[str, Any] = json.loads(told.stdout)
    return float(plan["seconds_total"] + plan["seconds_validating"])


def _train(home: Path, words: list[str]) -> tuple[float, float]:
    """Train; return the seconds from the first step to the end, of a clock and of the CPU."""
    runs = home / "runs"
    if not runs.is_dir():
        process = subprocess.Popen(
            child.command("yofo_mlx.cli", "train", *words),
            env=child.environment() | {"YOFO_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (begun := list(runs.glob("*/events.jsonl"))):
            time.sleep(0.02)
        before = _cpu(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{words} ended with {status}")
        cpu = usage.ru_utime + usage.ru_stime - before
        (home / "cpu").write_text(str(cpu), encoding="utf-8")
    (begun,) = [one.parent for one in runs.glob("*/events.jsonl")]
    events = list(Run(begun).events())
    return events[-1]["t"] - events[0]["t"], float((home / "cpu").read_text("utf-8"))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    main()
