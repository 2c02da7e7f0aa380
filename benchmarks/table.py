"""Time and memory of one step, by method and length: a CSV file, a table, a plot.

    python benchmarks/table.py --model /tmp/B --lengths 1024 2048 4096 --rounds 3 --out /tmp/b

Every step is a fresh process (`train_step.py`). Within a round the methods take turns at each
length, so that what else the machine does hits all of them. The folder has every step in
`steps.csv`, which a second call adds to, and the table of `measurements.py` in `measured.csv`.
With `--budget` no step begins later, and one that is not done then is ended.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import measurements
from measurements import Measurement

from yofo_mlx.system import blas

blas.preload()  # says how many threads, to the steps and in the table

STEP = Path(__file__).with_name("train_step.py")
METHODS = {
    "yofo": ["--method", "yofo"],
    "yofo thin": ["--method", "yofo", "--chunk", "256", "--stash", "4"],
    "mlx-lm": ["--method", "mlx-lm"],
    "mlx-lm plain": ["--method", "mlx-lm", "--no-checkpointing"],
    "mlx-lm-bounded": ["--method", "mlx-lm-bounded"],
    "mlx-train-perf": ["--method", "mlx-train-perf"],
    "mlx-train-perf-bounded": ["--method", "mlx-train-perf-bounded"],
}
USUAL = [name for name in METHODS if not name.startswith("mlx-train-perf")]
Row = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "steps.csv"
    rows = _read(path) if path.exists() else []
    ends = time.monotonic() + arguments.budget if arguments.budget else None
    turns = product(range(arguments.rounds), arguments.lengths, arguments.methods)
    for number, tokens, method in turns:
        left = ends - time.monotonic() if ends else None
        if left is not None and left <= 0:
            print("the time is over", file=sys.stderr)
            break
        row = {"round": number, "label": method} | _step(arguments, method, tokens, left)
        rows.append(row)
        _write(path, rows)
        print(row, file=sys.stderr, flush=True)
    found = measured(rows, arguments.model.name)
    if not found:
        raise SystemExit("no step was measured")
    measurements.write(arguments.out / "measured.csv", found)
    print(markdown(found))
    if not arguments.no_plot:
        plot(found, arguments.out / "steps.png")


def _step(arguments: Any, method: str, tokens: int, seconds: float | None) -> Row:
    command = [sys.executable, str(STEP), "--model", str(arguments.model), "--json"]
    command += ["--tokens", str(tokens), *METHODS[method]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"tokens": tokens, "error": "the time was over"}
    if done.returncode:
        return {"tokens": tokens, "error": (done.stderr.strip().splitlines() or [""])[-1]}
    result: Row = json.loads(done.stdout)
    return result


def measured(
    rows: Sequence[Row], model: str, machine: Mapping[str, str] | None = None
) -> list[Measurement]:
    """Return the figures of each method at each length, over all rounds."""
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        if row.get("seconds"):
            groups.setdefault((int(row["tokens"]), row["label"]), []).append(row)
    found = []
    for (tokens, label), group in sorted(groups.items()):
        columns = {
            metric: [float(row[column]) * factor for row in group if row.get(column)]
            for metric, (column, factor) in METRICS.items()
        }
        given = {metric: values for metric, values in columns.items() if values}
        about = {"method": label, "model": model, "tokens": tokens, "machine": machine}
        found += measurements.measurements(given, **about)
    return found


METRICS = {  # of a row's columns
    "seconds": ("seconds", 1.0),
    "CPU seconds": ("cpu_seconds", 1.0),
    "load before": ("load", 1.0),
    "peak MB": ("peak_bytes", 1e-6),
    "forecast MB": ("forecast_bytes", 1e-6),
    "loss": ("loss", 1.0),
}


def markdown(found: Sequence[Measurement]) -> str:
    """Return the medians as a table; what was measured on another machine has its own lines."""
    cells: dict[tuple[int | None, str, str], dict[str, Measurement]] = {}
    for one in found:
        cells.setdefault((one.tokens, one.method, one.device), {})[one.metric] = one
    lines = [
        "| tokens | method | MB | forecast | seconds | loss | rounds |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    for (tokens, method, _), at in cells.items():
        peak, forecast = at["peak MB"].p50, at.get("forecast MB")
        expected = f"{forecast.p50 / peak:.2f}" if forecast else ""
        lines.append(
            f"| {tokens} | {method} | {peak:.0f} | {expected} | {at['seconds'].p50:.1f}"
            f" | {at['loss'].p50:.6f} | {at['seconds'].count} |"
        )
    return "\n".join(lines)


def plot(found: Sequence[Measurement], path: Path) -> None:
    """Draw memory and time against length."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    for label in dict.fromkeys(one.method for one in found):
        for axis, metric in zip(axes, ("peak MB", "seconds"), strict=True):
            points = [one for one in found if (one.method, one.metric) == (label, metric)]
            lengths = [one.tokens for one in points]
            axis.loglog(lengths, [one.p50 for one in points], marker="o", label=label)
    for axis, words in zip(axes, ("peak above the model, MB", "seconds a step"), strict=True):
        axis.set_xlabel("tokens")
        axis.set_title(words, fontsize=10)
        axis.grid(visible=True, which="both", alpha=0.2)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:.0f}")
    axes[1].legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=140)


def _read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=USUAL)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, help="seconds for everything")
    parser.add_argument("--no-plot", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
