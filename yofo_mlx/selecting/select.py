"""From ranked rows to smaller data sets, with the score of every row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RunError
from yofo_mlx.evaluation.subjects import of_run
from yofo_mlx.prompting.fingerprint import adapter_fingerprint
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.rehearsal import tables
from yofo_mlx.rehearsal.store import Store
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.trained import trained
from yofo_mlx.selecting.chance import Chance
from yofo_mlx.selecting.davir import Davir
from yofo_mlx.selecting.delift import Delift
from yofo_mlx.selecting.reader import Reader
from yofo_mlx.selecting.settings import Ranked, Ranker, SelectSettings
from yofo_mlx.system.files import write_text
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example, Task

ABOUT, SCORES = "selection.json", "scores.jsonl"
KIND = "selection"
DIGITS = 6


@dataclass(frozen=True)
class Selected:
    """A task, how its rows were ranked, and how many of them are kept."""

    entry: TaskEntry
    ranked: Ranked
    count: int

    @property
    def kept(self) -> list[int]:
        """Return the places of the rows that are kept, as they stand in the task."""
        return sorted(self.ranked.order[: self.count])

    @property
    def unread(self) -> int:
        """How many rows were too long to be scored."""
        return sum(score is None for score in self.ranked.scores)


def tuned_run(recipe: Recipe, entries: Sequence[TaskEntry], name: str) -> tuple[Run, list[str]]:
    """Return the run that was trained on all rows, and tasks that it does not know as they are."""
    run = listing.find(name)
    of_run(run).check()
    model = trained(run).recipe.model
    if model != recipe.model:
        wrong = f"run {run.run_id} adapts {model}, and the recipe's model is {recipe.model}"
        raise RunError(wrong, "name a run of this recipe")
    known = run.info().data or {}
    return run, [
        one.task.name for one in entries if known.get(one.task.name, "") != one.fingerprint
    ]


def begin(
    folder: Path, recipe: Recipe, entries: Sequence[TaskEntry], settings: SelectSettings, run: Any
) -> None:
    """Make the folder of a selection, or go on in one whose scores are the same."""
    scoring = settings.scoring
    if run:
        scoring |= {"run": run.run_id, "adapter": adapter_fingerprint(run.adapter_path)}
    about = {"model": recipe.model, "tasks": [one.task.name for one in entries], "way": scoring}
    tables.begin(folder, recipe, ABOUT, KIND, about)


def ranker(
    settings: SelectSettings, recipe: Recipe, reader: Reader | None, store: Store, run: Run | None
) -> Ranker:
    """Return what ranks rows as the settings say."""
    if reader is None:
        return Chance(recipe.seed)
    if run is not None:
        return Davir(reader, store, run.adapter_path)
    return Delift(reader, store, settings.probes, recipe.seed)


def finish(folder: Path, recipe: Recipe, done: Sequence[Selected]) -> dict[str, Any]:
    """Write the rows that are kept, a recipe that trains on them, and all scores."""
    tables.write(folder, recipe, [_table(one) for one in done])
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    about |= {
        "finished": True,
        "by_task": {
            one.entry.task.name: {
                "rows": len(one.entry.task.train),
                "kept": one.count,
                "unread": one.unread,
                "scores": [_rounded(score) for score in one.ranked.scores],
            }
            for one in done
        },
    }
    write_text(folder / ABOUT, json.dumps(about) + "\n")
    return dict(about)


def _table(one: Selected) -> tables.Table:
    task, ranks = one.entry.task, {place: n + 1 for n, place in enumerate(one.ranked.order)}
    rows = [
        _row(task, task.train[place])
        | {"score": _rounded(one.ranked.scores[place]), "rank": ranks[place]}
        for place in one.kept
    ]
    return tables.Table(one.entry, rows, lambda example: _row(task, example))


def _row(task: Task, example: Example) -> dict[str, Any]:
    """Return a row as it is read back: with all its right answers, where it has several."""
    right = task.right_answers(example)
    return {"input": example.input, "output": list(right) if len(right) > 1 else example.output}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, DIGITS)
