"""The folder of a rehearsal: its data sets, a recipe that trains on them, and what they are of."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import to_toml
from yofo_mlx.recipe.schema import Episodes, Recipe, TaskSource
from yofo_mlx.rehearsal.rehearse import RehearsedTask, Target
from yofo_mlx.rehearsal.settings import RehearsalSettings
from yofo_mlx.system.files import new_folder, write_text
from yofo_mlx.system.text import escaped
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example

ABOUT, RECIPE, DATA, ANSWERS = "rehearsal.json", "recipe.toml", "data", "answers.jsonl"
LEAST_OWN = 0.1  # share below which the targets are the expected ones under another name
# What a task and its `[[tasks]]` table call by the same name.
_SHARED = TaskSource.model_fields.keys() & {one.name for one in fields(TaskEntry)}


def begin(folder: Path, recipe: Recipe, tasks: Sequence[str]) -> None:
    """Make the folder of a rehearsal, or go on in one of the same recipe; refuse any other."""
    if recipe.objective.rejected or recipe.objective.smoothing:
        raise RecipeError(
            "a rehearsal does not keep rejected answers or doubt, which the objective goes by",
            "rehearse without objective.rejected and objective.smoothing",
        )
    about = {"model": recipe.model, "tasks": list(tasks)}
    try:
        there = json.loads((folder / ABOUT).read_text("utf-8"))
        there = {key: there[key] for key in about}
    except (OSError, ValueError, TypeError, KeyError):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RecipeError(
                f"{folder} exists already, and is no rehearsal", "give another --out"
            ) from None
        there = None
    if there is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / ABOUT, json.dumps(about | {"finished": False}, indent=1))
        except OSError as error:
            wrong = f"cannot write {folder}: {error.strerror}"
            raise RecipeError(wrong, "choose another place") from error
    elif there != about:
        what = "model" if there["model"] != recipe.model else "recipe: its tasks differ"
        raise RecipeError(f"{folder} is the rehearsal of another {what}", "give another --out")


def finish(
    folder: Path, recipe: Recipe, done: Sequence[RehearsedTask], settings: RehearsalSettings
) -> dict[str, Any]:
    """Write data sets, recipe and shares, each whole; return what is said of them."""
    names = {one.entry.task.name: _folder_name(n, one) for n, one in enumerate(done)}
    with new_folder(folder / DATA) as data:
        for one in done:
            place = data / names[one.entry.task.name]
            place.mkdir()
            task = one.entry.task
            more = _more(one.targets)
            text = _lines(one.targets, one.entry, more)
            (place / "train.jsonl").write_text(text, encoding="utf-8")
            for split, examples in (("valid", task.valid), ("test", task.test)):
                if examples:
                    text = _lines(map(_as_it_was, examples), one.entry, more)
                    (place / f"{split}.jsonl").write_text(text, encoding="utf-8")
    sources = [_source(one, f"./{DATA}/{names[one.entry.task.name]}") for one in done]
    sources += [source for source in recipe.tasks if source.role == "held_out"]
    described = recipe.model_copy(update={"tasks": tuple(sources)})
    if settings.distill:  # a pupil sees no demonstrations
        shots = Episodes(max_tokens=recipe.episodes.max_tokens, max_shots=0)
        described = described.model_copy(update={"episodes": shots})
    write_text(folder / RECIPE, to_toml(described))
    about = _about(recipe, done, settings)
    write_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")
    return about


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


def _lines(targets: Iterable[Target], entry: TaskEntry, more: Sequence[str]) -> str:
    names = ("input", "output", "provenance", "gold", *more)
    rows = (
        {name: getattr(one, name) for name in names} | {"output": output_of(one.output, entry)}
        for one in targets
    )
    return "".join(escaped(json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def output_of(text: str, entry: TaskEntry) -> str | list[str]:
    """Return an answer as it is read back: a list of labels, unless all of it is one label."""
    between = entry.separator
    if between is None or (between in text and text in entry.task.labels):
        return text
    return text.split(between)


def _is_among(text: str, entry: TaskEntry) -> bool:
    """Tell whether an answer is made of the task's labels."""
    found = output_of(text, entry)
    return set([found] if isinstance(found, str) else found) <= set(entry.task.labels)


def _as_it_was(example: Example) -> Target:
    return Target(example.input, example.output, "gold", example.output)


def _folder_name(number: int, one: RehearsedTask) -> str:
    """Return a name that no other task has, and that a file system takes."""
    return f"{number:03}-" + re.sub(r"[^\w.-]+", "-", one.entry.task.name)[:80]


def _source(one: RehearsedTask, place: str) -> TaskSource:
    """Return the table of a task whose rows are in a folder of ours."""
    entry, task, more = one.entry, one.entry.task, _more(one.targets)
    shared = {name: getattr(entry, name) for name in _SHARED}
    keeps = all(_is_among(target.output, entry) for target in one.targets)
    return TaskSource(
        **{name: value for name, value in shared.items() if value is not None},
        name=task.name,
        source=place,
        family=task.family,
        instruction=task.instruction,
        input="input",
        output="output",
        teacher="teacher" if "teacher" in more else None,
        doubt="doubt" if "doubt" in more else None,
        labels=task.labels if keeps else None,
        valid_share=0.0,
    )
