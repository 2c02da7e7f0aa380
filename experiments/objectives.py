"""Compare what is trained, at equal processed tokens, on the embedded model's held-out tasks.

    python experiments/objectives.py --seeds 0 1 2 --csv out/objectives.csv

Every row is `recipes/tiny.toml` with a few keys set otherwise: all answers or only the last one as
targets, zero-shot and few-shot (two demonstrations and a query) episodes, every token as a target.
"""

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yofo_mlx.system import blas

blas.preload()

from yofo_mlx.commands.display import shots_line
from yofo_mlx.commands.measuring import measure_each
from yofo_mlx.evaluation.scores import TaskScores, of_model, summarize
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.training.loop import advance
from yofo_mlx.training.setup import load
from yofo_mlx.training.trainer import Learner

SETTINGS = {
    "all answers": (),
    "last answer": ("objective.targets=last",),
    "few-shot": ("episodes.min_shots=2", "episodes.max_shots=2"),
    "few-shot, last answer": (
        "episodes.min_shots=2",
        "episodes.max_shots=2",
        "objective.targets=last",
    ),
    "zero-shot": ("episodes.max_shots=0",),
    "all tokens": ("objective.targets=tokens", "objective.normalize=token"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--set", nargs="*", default=[], help="recipe overrides for every row")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows = [base_row(options.set)]
    for name in options.only:
        for seed in options.seeds:
            rows += adapter_rows(name, seed, options.set)
            print(f"{name}, seed {seed}: {shots_line(rows[-1]['by_shots'])}", file=sys.stderr)
    print(versions_and_machine()["versions"], versions_and_machine()["device"])
    print(table(rows))
    if options.csv:
        write_csv(rows, options.csv)


def base_row(overrides: Sequence[str]) -> dict:
    """Measure the base model, which no setting changes."""
    recipe = load_recipe(find_recipe("tiny"), overrides)
    setup = load(recipe)
    rows = by_shots(measure_each(setup.base, recipe, setup.workload.held_out, "base"))
    return {"name": "base", "seed": 0, "seconds": 0, "tokens": 0, "by_shots": rows}


def by_shots(scores: Sequence[TaskScores]) -> list[dict]:
    """Return the curve over the same tasks, then the last point of those that reach further."""
    (metric,) = summarize(of_model(scores))  # exact match throughout: see the recipe
    rows = [row | {"tasks": metric["tasks"]} for row in metric["by_shots"]]
    further = [one for one in metric["others"] if one["tasks"] < metric["tasks"]]
    return rows + [one["by_shots"][-1] | {"tasks": one["tasks"]} for one in further]


def adapter_rows(name: str, seed: int, overrides: Sequence[str]) -> list[dict]:
    """Train one setting with one seed and measure it on the held-out tasks."""
    changes = [*overrides, *SETTINGS[name], f"seed={seed}"]
    recipe = load_recipe(find_recipe("tiny"), changes)
    setup = load(recipe)
    started = time.perf_counter()
    learner = Learner(recipe, setup)
    learner.begin()
    while learner.share < 1.0:
        advance(learner)
    seconds, tokens = time.perf_counter() - started, learner.state.tokens
    setup.base.model.eval()
    rows = by_shots(measure_each(setup.base, recipe, setup.workload.held_out, name))
    return [{"name": name, "seed": seed, "seconds": seconds, "tokens": tokens, "by_shots": rows}]


def table(rows: list[dict]) -> str:
    """Return accuracy by shots in percent as a Markdown table: each seed, and means over seeds."""
    points = rows[0]["by_shots"]
    apart = [one for one in points if one["tasks"] < points[0]["tasks"]]
    shots = [f"{one['shots']}" + f" ({one['tasks']} tasks)" * (one in apart) for one in points]
    lines = ["| trained on | seed | " + " | ".join(shots) + " |"]
    lines.append("|---|---|" + "---|" * len(shots))
    for name in dict.fromkeys(row["name"] for row in rows):
        group = [row for row in rows if row["name"] == name]
        figures = np.array([[entry["accuracy"] for entry in row["by_shots"]] for row in group])
        if len(group) > 1:
            lines += [_line(name, str(r["seed"]), f) for r, f in zip(group, figures, strict=True)]
            lines.append(_line(f"**{name}**", "mean", figures.mean(axis=0)))
        else:
            lines.append(_line(name, "-" if name == "base" else str(group[0]["seed"]), figures[0]))
    return "\n".join(lines)


def _line(name: str, seed: str, figures: Sequence[float]) -> str:
    return f"| {name} | {seed} | " + " | ".join(f"{100 * f:.0f}" for f in figures) + " |"


def write_csv(rows: list[dict], path: Path) -> None:
    """Write one line for each row and number of shots."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = "trained_on seed shots held_out_tasks accuracy loss tokens seconds"
        writer.writerow(names.split())
        for row in rows:
            for entry in row["by_shots"]:
                figures = (round(entry["accuracy"], 4), round(entry["loss"], 4))
                measured = (entry["shots"], entry["tasks"], *figures)
                run = (row["tokens"], round(row["seconds"], 1))
                writer.writerow([row["name"], row["seed"], *measured, *run])


if __name__ == "__main__":
    main()
