"""The folder of a rehearsal: its data sets, a recipe that trains on them, and what they are of."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yofo_mlx.recipe.schema import Episodes, Recipe
from yofo_mlx.rehearsal import tables
from yofo_mlx.rehearsal.rehearse import RehearsedTask, Target
from yofo_mlx.rehearsal.settings import RehearsalSettings
from yofo_mlx.system.files import write_text
from yofo_mlx.tasks.task import Example

ABOUT, ANSWERS = "rehearsal.json", "answers.jsonl"
LEAST_OWN = 0.1  # share below which the targets are the expected ones under another name


def begin(folder: Path, recipe: Recipe, tasks: Sequence[str]) -> None:
    """Make the folder of a rehearsal, or go on in one of the same recipe; refuse any other."""
    about = {"model": recipe.model, "tasks": list(tasks)}
    tables.begin(folder, recipe, ABOUT, "rehearsal", about)


def finish(
    folder: Path, recipe: Recipe, done: Sequence[RehearsedTask], settings: RehearsalSettings
) -> dict[str, Any]:
    """Write data sets, recipe and shares, each whole; return what is said of them."""
    if settings.distill:  # a pupil sees no demonstrations
        shots = Episodes(max_tokens=recipe.episodes.max_tokens, max_shots=0)
        recipe = recipe.model_copy(update={"episodes": shots})
    tables.write(folder, recipe, [_table(one) for one in done])
    about = _about(recipe, done, settings)
    write_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")
    return about


def _table(one: RehearsedTask) -> tables.Table:
    more = _more(one.targets)
    names = ("input", "output", "provenance", "gold", *more)

    def row(target: Target) -> tables.Record:
        return {name: getattr(target, name) for name in names}

    rows = list(map(row, one.targets))
    return tables.Table(one.entry, rows, lambda example: row(_as_it_was(example)), tuple(more))


def _about(
    recipe: Recipe, done: Sequence[RehearsedTask], settings: RehearsalSettings
) -> dict[str, Any]:
    families: dict[str, list[RehearsedTask]] = {}
    for one in done:
        families.setdefault(one.entry.task.family, []).append(one)
    whole = _counts(done)
    return {
        "model": recipe.model,
        "tasks": [one.entry.task.name for one in done],
        "finished": True,
        "settings": asdict(settings),
        "all": whole,
        "plain_tuning": None if settings.doubt else why_plain(whole),
        "families": {family: _counts(some) for family, some in families.items()},
        "by_task": {
            one.entry.task.name: {
                "family": one.entry.task.family,
                "judge": one.judge,
                "shots": one.shots,
                **_counts([one]),
                "cut": one.cut,
                "too_long": one.too_long,
                "asked_for_paraphrases": one.paraphrases,
                "judge_accepts": asdict(one.trust) if one.trust else None,
            }
            for one in done
        },
    }


def why_plain(counts: dict[str, int]) -> str | None:
    """Return why training on the targets is plain tuning, None if it is not."""
    if counts["own"] < LEAST_OWN * counts["rows"]:
        return f"under {LEAST_OWN:.0%} of the targets are the model's own"
    if not counts["changed"]:
        return "every target is the expected answer, letter for letter"
    return None


def _counts(some: Iterable[RehearsedTask]) -> dict[str, int]:
    """Count targets by where they are from; `changed` are those other than the expected."""
    targets = [target for one in some for target in one.targets]
    found = Counter(target.provenance for target in targets)
    changed = sum(target.output != target.gold for target in targets)
    return {
        "rows": len(targets),
        **{name: found[name] for name in ("own", "paraphrase", "gold")},
        "changed": changed,
    }


def _more(targets: Sequence[Target]) -> list[str]:
    """Return the columns beside what every row has."""
    return [
        name
        for name in ("teacher", "doubt")
        if any(getattr(target, name) is not None for target in targets)
    ]


def _as_it_was(example: Example) -> Target:
    return Target(example.input, example.output, "gold", example.output)
