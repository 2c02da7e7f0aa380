"""`yofo rationales`: the base's own ways to the right answers, as a data set and a recipe."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yofo_mlx.commands import made_rows
from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.planning.machine import find_planner
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.rehearsal import tables
from yofo_mlx.rehearsal.asker import Asker
from yofo_mlx.rehearsal.rationales import Rationales, TaskWays
from yofo_mlx.rehearsal.settings import RehearsalSettings
from yofo_mlx.rehearsal.store import Store
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.files import write_text
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import keeping, say

ABOUT, SAMPLES, KIND = "rationales.json", "samples.jsonl", "set of rationales"


def rationales(
    request: RecipeRequest,
    settings: RehearsalSettings,
    *,
    samples: int,
    temperature: float,
    gold: bool,
    out: Path | None,
    as_json: bool,
) -> ExitCode:
    """Sample, judge and write; what was drawn before is not drawn again."""
    folder = out or Path(f"{request.run_name}-rationales")
    recipe = request.load()
    entries = made_rows.training_tasks(request, recipe)
    about = {"model": recipe.model, "tasks": [entry.task.name for entry in entries]}
    tables.begin(folder, recipe, ABOUT, KIND, about)
    base, longest = made_rows.reading_base(recipe)
    with keeping(f"what was drawn is kept in {folder}"), Store(folder / SAMPLES, KIND) as store:
        asker = Asker(base, recipe.template, store, find_planner(recipe))
        asking = Rationales(asker, recipe, settings, longest)
        done = [asking.ways(entry, samples, temperature) for entry in entries]
    about |= _finish(folder, recipe, done, gold=gold)
    return made_rows.end(folder, about, lambda: _show(done), as_json=as_json)


def _finish(
    folder: Path, recipe: Recipe, done: Sequence[TaskWays], *, gold: bool
) -> dict[str, Any]:
    """Write the rows and what is said of them; of a task nothing was found for, its own rows."""
    made = []
    for one in done:
        rows = [
            {"input": ways.example.input, "output": text, "provenance": "own"}
            for ways in one.found
            for text in ways.kept
        ]
        if gold or not rows:
            rows += [_row(ways.example.input, ways.example.output) for ways in one.found]
        made.append(tables.Table(one.entry, rows, lambda other: _row(other.input, other.output)))
    if not any(table.rows for table in made):
        raise RecipeError("no input fits a prompt", "raise evaluation.max_tokens")
    tables.write(folder, recipe, made)
    about = {"finished": True, "by_task": {one.entry.task.name: _facts(one) for one in done}}
    kept = json.loads((folder / ABOUT).read_text("utf-8"))
    write_text(folder / ABOUT, json.dumps(kept | about, indent=1) + "\n")
    return about


def _row(text: str, answer: str) -> dict[str, str]:
    return {"input": text, "output": answer, "provenance": "gold"}


def _facts(one: TaskWays) -> dict[str, Any]:
    return {
        "judge": one.judge,
        "shots": one.shots,
        "inputs": len(one.found),
        "samples": one.samples * len(one.found),
        "right": sum(ways.right for ways in one.found),
        "kept": sum(len(ways.kept) for ways in one.found),
        "solved": sum(bool(ways.kept) for ways in one.found),
        "too_long": one.too_long,
    }


def _show(done: Sequence[TaskWays]) -> None:
    """Print what was found for each task."""
    names = ("inputs", "samples", "right", "kept", "solved")
    facts = [_facts(one) for one in done]
    rows = [
        [one.entry.task.name, told["judge"], *(f"{told[name]:,}" for name in names)]
        for one, told in zip(done, facts, strict=True)
    ]
    show_table(("task", "judge", *names), rows, numbers=names, spared=("judge",))
    if too_long := sum(one.too_long for one in done):
        say(f"{plural(too_long, 'input')} not asked: too long for evaluation.max_tokens")
    if nothing := [one.entry.task.name for one in done if not any(w.kept for w in one.found)]:
        say(f"nothing right of its own for {', '.join(nothing[:8])}: their rows stay as they were")
