"""`yofo rehearse`: training targets in the base's own words, as a data set and a recipe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yofo_mlx.commands import made_rows
from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode
from yofo_mlx.planning.machine import find_planner
from yofo_mlx.rehearsal import outcome
from yofo_mlx.rehearsal.asker import Asker
from yofo_mlx.rehearsal.rehearse import APART, Rehearsal
from yofo_mlx.rehearsal.settings import RehearsalSettings
from yofo_mlx.rehearsal.store import Store
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import keeping, say

MOST_TASKS = 20  # that are shown one by one


def rehearse(
    request: RecipeRequest, settings: RehearsalSettings, *, out: Path | None, as_json: bool
) -> ExitCode:
    """Answer, judge and write; what was answered before is not asked again."""
    folder = out or Path(f"{request.run_name}-rehearsed")
    recipe = request.load()
    entries = made_rows.training_tasks(request, recipe)
    outcome.begin(folder, recipe, [entry.task.name for entry in entries])
    base, longest = made_rows.reading_base(recipe)
    with (
        keeping(f"what was answered is kept in {folder}"),
        Store(folder / outcome.ANSWERS) as store,
    ):
        asker = Asker(base, recipe.template, store, find_planner(recipe, whole=True))
        rehearsal = Rehearsal(asker, recipe, settings, longest)
        done = [rehearsal.task(entry) for entry in entries]
    about = outcome.finish(folder, recipe, done, settings)
    return made_rows.end(folder, about, lambda: _show(about), as_json=as_json)


def _show(about: dict[str, Any]) -> None:
    """Print the shares of tasks, families and all, and say what they do not show."""
    tasks, families = about["by_task"], about["families"]
    names = ("own", "paraphrase", "gold", "changed")
    lines = [(name, facts["judge"], str(facts["shots"]), facts) for name, facts in tasks.items()]
    if len(tasks) > MOST_TASKS:
        say(f"{len(tasks)} tasks; each of them is in {outcome.ABOUT}")
        lines = []
    lines += [(f"all {name}", "", "", facts) for name, facts in families.items()]
    lines += [("all", "", "", about["all"])]
    rows = [
        [name, judge, shots, f"{all_of:,}", *(f"{facts[key] / all_of:.0%}" for key in names)]
        for name, judge, shots, facts in lines
        for all_of in [facts["rows"]]
    ]
    numbers = ("shots", "rows", *names)
    heads = ("task", "judge", *numbers)
    show_table(heads, rows, numbers=numbers, spared=("shots", "judge"))
    for words in _remarks(tasks):
        say(words)
    if why := about["plain_tuning"]:
        say(f"this is plain tuning: {why}")


def _remarks(tasks: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield what is left out of the shares, and which judges are not to be trusted."""
    if cut := sum(facts["cut"] for facts in tasks.values()):
        yield f"{plural(cut, 'answer')} cut: evaluation.max_answer_tokens allows longer ones"
    if too_long := sum(facts["too_long"] for facts in tasks.values()):
        yield f"{plural(too_long, 'input')} not asked: too long for evaluation.max_tokens"
    for task, facts in tasks.items():
        trust = facts["judge_accepts"]
        if trust and trust["right"] - trust["wrong"] < APART:
            yield (
                f"{task}: the model cannot judge, and nothing was accepted: it would take"
                f" {trust['right']:.0%} of the expected answers and {trust['wrong']:.0%} of other"
                f" rows'\n  `--judge {facts['family']}=normalised`, or a command, can"
            )
