"""`yofo select`: the training rows that are worth most, as a data set and a recipe."""

from collections.abc import Sequence
from pathlib import Path

from yofo_mlx.commands import made_rows
from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode
from yofo_mlx.planning.machine import find_planner
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.rehearsal.store import Store
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.selecting import select as selection
from yofo_mlx.selecting.reader import Reader
from yofo_mlx.selecting.select import Selected
from yofo_mlx.selecting.settings import SelectSettings
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import keeping, say

MOST_TASKS = 20  # that are shown one by one


def select(
    request: RecipeRequest, settings: SelectSettings, *, out: Path | None, as_json: bool
) -> ExitCode:
    """Score, rank and write; what was scored before is not read again."""
    folder = out or Path(f"{request.run_name}-{settings.by}")
    recipe = request.load()
    entries = made_rows.training_tasks(request, recipe)
    run = None
    if settings.run is not None:
        run, other = selection.tuned_run(recipe, entries, settings.run)
        if other:
            words = "has other rows of" if run.info().data else "may have been trained without"
            say(f"warning: run {run.run_id} {words} {', '.join(other[:MOST_TASKS])}")
    selection.begin(folder, recipe, entries, settings, run)
    reader = None if settings.by == "random" else _reader(recipe)
    with (
        keeping(f"what was scored is kept in {folder}"),
        Store(folder / selection.SCORES, selection.KIND) as store,
    ):
        ranker = selection.ranker(settings, recipe, reader, store, run)
        done = [
            Selected(entry, ranker.rank(entry), settings.count(len(entry.task.train)))
            for entry in entries
        ]
    about = selection.finish(folder, recipe, done)
    return made_rows.end(folder, about, lambda: _show(done), as_json=as_json)


def _reader(recipe: Recipe) -> Reader:
    base, longest = made_rows.reading_base(recipe)
    return Reader(base, recipe.template, find_planner(recipe), longest)


def _show(done: Sequence[Selected]) -> None:
    """Print what is kept of each task, and where the scores lie."""
    shown = done if len(done) <= MOST_TASKS else ()
    if not shown:
        say(f"{len(done)} tasks; each of them is in {selection.ABOUT}")
    rows = [[one.entry.task.name, *_counts([one]), *_bounds(one)] for one in shown]
    rows += [["all", *_counts(done), "", ""]]
    heads = ("task", "rows", "kept", "lowest kept", "highest")
    show_table(heads, rows, numbers=heads[1:], spared=())
    if unread := sum(one.unread for one in done):
        say(f"{plural(unread, 'row')} too long for evaluation.max_tokens: ranked last")


def _counts(some: Sequence[Selected]) -> list[str]:
    return [
        f"{sum(len(one.entry.task.train) for one in some):,}",
        f"{sum(one.count for one in some):,}",
    ]


def _bounds(one: Selected) -> list[str]:
    kept = [score for place in one.kept if (score := one.ranked.scores[place]) is not None]
    return [f"{min(kept):.3f}", f"{max(kept):.3f}"] if kept else ["", ""]
