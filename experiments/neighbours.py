"""Methods beside many-shot tuning, on the embedded model: what each is worth on tasks held out.

    python experiments/neighbours.py

A line for each way to train, seed and number of shots: exact answers and their loss, mean over the
held-out tasks. All ways process the same tokens; a seed draws episodes, rows and demonstrations.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from yofo_mlx.system import blas

blas.preload()

import numpy as np

from yofo_mlx.evaluation.measure import evaluate_entry
from yofo_mlx.models.adapters import save_adapter
from yofo_mlx.models.base import base_of
from yofo_mlx.planning.workload import make_workload
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.rehearsal.store import Store
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.selecting.davir import Davir
from yofo_mlx.selecting.delift import Delift
from yofo_mlx.selecting.reader import Reader
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.training.loop import advance
from yofo_mlx.training.setup import Setup
from yofo_mlx.training.trainer import Learner

SHARE = 0.125  # of the rows, where they are chosen
LAST = "objective.targets=last"
SIXTEEN = (LAST, "episodes.min_shots=16", "episodes.max_shots=16")
WAYS: dict[str, tuple[str, ...]] = {
    "many-shot, all answers": (),
    "many-shot, last answer": (LAST,),
    "MetaICL": SIXTEEN,
    "MetaICL, channel": (*SIXTEEN, "template.channel=true"),
    "1/2 of the rows": ("tasks.0.rows=0.5",),
    "1/4 of the rows": ("tasks.0.rows=0.25",),
    "1/8 of the rows": (f"tasks.0.rows={SHARE}",),
    "1/8, DELIFT": (),
    "1/8, DavIR": (),
}


def recipe_of(seed: int, tokens: int, changes: tuple[str, ...]) -> Recipe:
    data: dict[str, Any] = {
        "model": "tiny",
        "seed": seed,
        "lora": {"rank": 16, "scale": 2.0},
        "template": {"style": "plain", "input": "{input} ->", "output": " {output}\n"},
        "episodes": {"max_tokens": 256},
        "optimizer": {"learning_rate": 5e-3, "schedule": "linear"},
        "train": {"tokens": tokens, "batch_tokens": 512},
        "evaluation": {"shots": [4, 16], "queries": 16},
        "tasks": [
            {"source": "synthetic:classify:8", "limit": 96},
            {"source": "synthetic:classify:100-103", "role": "held_out"},
        ],
    }
    return resolve(data, "neighbours", None, changes)


def trained(recipe: Recipe, entries: list[TaskEntry]) -> Learner:
    base = base_of(recipe)
    made = Learner(recipe, Setup(base, make_workload(recipe, entries, base.tokenizer)))
    made.begin()
    while made.share < 1:
        advance(made)
    made.model.eval()
    return made


def chosen(way: str, recipe: Recipe, entries: list[TaskEntry], folder: Path) -> list[TaskEntry]:
    """Return the entries with the training rows that a way keeps."""
    base = base_of(recipe)
    base.model.eval()
    reader = Reader(base, recipe.template, None, recipe.longest_prompt)
    with Store(folder / f"{way[-5:]}.jsonl") as store:
        ranker = (
            Delift(reader, store, 8, recipe.seed)
            if way.endswith("DELIFT")
            else Davir(reader, store, folder / "adapter")
        )
        return [_kept(entry, ranker) if entry.role == "train" else entry for entry in entries]


def _kept(entry: TaskEntry, ranker: Any) -> TaskEntry:
    rows = entry.task.train
    places = sorted(ranker.rank(entry).order[: round(SHARE * len(rows))])
    return replace(entry, task=replace(entry.task, train=tuple(rows[n] for n in places)))


def measured(recipe: Recipe, base: Any, entries: list[TaskEntry]) -> Iterator[dict[str, Any]]:
    scores = [evaluate_entry(base, recipe, one) for one in entries if one.role == "held_out"]
    for points in zip(*(one.points for one in scores), strict=True):
        score, loss = (np.mean([getattr(p, what) for p in points]) for what in ("score", "loss"))
        yield {"shots": points[0].shots, "right": round(100 * score, 1), "loss": round(loss, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=20_000)
    options = parser.parse_args()
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as place:
            for way, changes in WAYS.items():
                folder = Path(place) / "adapter"
                recipe = recipe_of(seed, options.tokens, changes)
                entries = load_tasks(recipe.tasks, seed, Path.cwd())
                if way.startswith("1/8, "):
                    entries = chosen(way, recipe, entries, Path(place))
                made = trained(recipe, entries)
                if not changes and not way.startswith("1/8, "):
                    folder.mkdir()
                    save_adapter(folder, made.model, recipe.lora, recipe.model)
                for row in measured(recipe, made.setup.base, entries):
                    print(json.dumps({"way": way, "seed": seed, **row}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
