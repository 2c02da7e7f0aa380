"""Time and memory of one step, by method and length: a CSV file, a table, a plot.

    python benchmarks/table.py --model /tmp/B --lengths 1024 2048 4096 --rounds 3 --out /tmp/b

Every step is a fresh process (`train_step.py`). Within a round the methods take turns at each
length, so that what else the machine does hits all of them.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

STEP = Path(__file__).with_name("train_step.py")
METHODS = {
    "yofo": ["--method", "yofo"],
    "yofo thin": ["--method", "yofo", "--chunk", "256", "--stash", "4"],
    "mlx-lm": ["--method", "mlx-lm"],
    "mlx-lm plain": ["--method", "mlx-lm", "--no-checkpointing"],
    "mlx-lm-bounded": ["--method", "mlx-lm-bounded"],
}


def main() -> None:
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "steps.csv"
    rows = _read(path) if path.exists() else []
    for number in range(arguments.rounds):
        for tokens in arguments.lengths:
            for method in arguments.methods:
                row = {"round": number, "label": method} | _step(arguments, method, tokens)
                rows.append(row)
                _write(path, rows)
                print(row, file=sys.stderr, flush=True)
    print(markdown(rows))
    plot(rows, arguments.out / "steps.png")


def _step(arguments: Any, method: str, tokens: int) -> dict[str, Any]:
    command = [sys.executable, str(STEP), "--model", str(arguments.model), "--json"]
    command += ["--tokens", str(tokens), *METHODS[method]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"tokens": tokens, "error": done.stderr.strip().splitlines()[-1:]}
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def medians(rows: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, float]]:
    """Return the medians of each method at each length."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        if row.get("seconds"):
            groups.setdefault((row["label"], int(row["tokens"])), []).append(row)
    return {
        key: {
            "seconds": statistics.median(float(row["seconds"]) for row in group),
            "megabytes": statistics.median(float(row["peak_bytes"]) for row in group) / 1e6,
            "forecast": float(group[0].get("forecast_bytes") or 0) / 1e6,
            "loss": float(group[0]["loss"]),
            "rounds": len(group),
        }
        for key, group in groups.items()
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the medians as a table."""
    lines = [
        "| tokens | method | MB | forecast | seconds | loss | rounds |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    for (label, tokens), m in sorted(medians(rows).items(), key=lambda item: item[0][::-1]):
        expected = f"{m['forecast'] / m['megabytes']:.2f}" if m["forecast"] else ""
        lines.append(
            f"| {tokens} | {label} | {m['megabytes']:.0f} | {expected} | {m['seconds']:.1f}"
            f" | {m['loss']:.6f} | {m['rounds']:.0f} |"
        )
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw memory and time against length."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    found = medians(rows)
    for label in dict.fromkeys(label for label, _ in found):
        points = sorted((tokens, m) for (name, tokens), m in found.items() if name == label)
        for axis, field in zip(axes, ("megabytes", "seconds"), strict=True):
            lengths = [tokens for tokens, _ in points]
            axis.loglog(lengths, [m[field] for _, m in points], marker="o", label=label)
    for axis, words in zip(axes, ("peak above the model, MB", "seconds a step"), strict=True):
        axis.set_xlabel("tokens")
        axis.set_title(words, fontsize=10)
        axis.grid(visible=True, which="both", alpha=0.2)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:.0f}")
    axes[1].legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=140)


def _read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
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
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
