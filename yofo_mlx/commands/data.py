"""`yofo data`: check data sets, show what would be made of them."""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.errors import ExitCode
from yofo_mlx.recipe import TaskSource
from yofo_mlx.recipe_file import (
    apply_override,
    find_recipe,
    load_recipe,
    shipped_recipes,
    validate,
)
from yofo_mlx.tasks import checks
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.problems import Place, Problem, errors
from yofo_mlx.tasks.readers import format_of
from yofo_mlx.tasks.registry import is_embedded, load_tasks
from yofo_mlx.tasks.sources import Loaded, load
from yofo_mlx.tasks.splits import SPLITS, meaning
from yofo_mlx.text import printable, shorten

_MOST_LABELS = 12
_MOST_OF_A_KIND = 20


@dataclass(frozen=True)
class Group:
    """The sources of a recipe, or the one that a path stands for."""

    sources: tuple[TaskSource, ...]
    base: Path
    is_recipe: bool = False

    def read(self) -> list[Loaded]:
        """Read all sources."""
        return [loaded for source in self.sources for loaded in _read(source, self.base)]


def check(
    paths: Sequence[str],
    *,
    input: str | None = None,
    output: str | None = None,
    records: str | None = None,
    overrides: Sequence[str] = (),
    strict: bool = False,
    every: bool = False,
    as_json: bool = False,
) -> ExitCode:
    """Print the problems of files, folders, hub ids or a recipe's sources.

    The exit code is 3 if there is an error, with `strict` also if there is a warning. The first
    ones of a kind are printed, with `every` and as JSON all of them.
    """
    read: list[Loaded] = []
    own: list[Loaded] = []
    found: list[Problem] = []
    for group in _groups(paths, _keys(input, output, records), overrides):
        sets = group.read()
        # The embedded suite has few answers on purpose.
        known = [loaded for loaded in sets if not is_embedded(loaded.source)]
        found += [problem for loaded in known for problem in checks.check(loaded)]
        if group.is_recipe:
            found += checks.check_names([loaded.name for loaded in sets])
        read += sets
        own += known
    found += checks.check_held_out(own)
    if as_json:
        print(json.dumps([_record(problem) for problem in found], indent=2))
    else:
        shown = found if every else list(_first_of_kinds(found))
        print("".join(f"{_told(problem)}\n" for problem in shown), end="")
    print(_counts(read, found), file=sys.stderr)
    if not as_json and len(shown) < len(found):
        print(_kinds(found), file=sys.stderr)
    return ExitCode.DATA if errors(found) or (strict and found) else ExitCode.OK


def preview(
    *paths: str,
    input: str | None = None,
    output: str | None = None,
    records: str | None = None,
    overrides: Sequence[str] = (),
    examples: int = 3,
    as_json: bool = False,
) -> ExitCode:
    """Print what would be made of data sets: columns, splits, family, labels, examples."""
    shown = [
        _summary(loaded, examples)
        for group in _groups(paths, _keys(input, output, records), overrides)
        for loaded in group.read()
    ]
    if as_json:
        print(json.dumps(shown, indent=2))
    else:
        print("\n\n".join(_page(summary) for summary in shown))
    failed = sum(bool(summary["errors"]) for summary in shown)
    if failed:
        again = " ".join(shlex.quote(printable(path)) for path in paths)
        options = " with the same options" if overrides or _keys(input, output, records) else ""
        what = f"errors in {_plural(failed, 'data set')}"
        print(f"{what}: yofo data check {again}{options}", file=sys.stderr)
    return ExitCode.DATA if failed else ExitCode.OK


def _keys(input: str | None, output: str | None, records: str | None) -> dict[str, str]:
    keys = {"input": input, "output": output, "records": records}
    return {key: value for key, value in keys.items() if value is not None}


def _groups(
    paths: Sequence[str], keys: dict[str, str], overrides: Sequence[str]
) -> Iterator[Group]:
    """Yield what to read: the sources of a recipe, or one source for each path."""
    for path in join_splits(paths):
        name, files = path if isinstance(path, tuple) else (path, None)
        if recipe := None if files else _recipe(name):
            yield Group(load_recipe(recipe, overrides).tasks, recipe.parent, is_recipe=True)
            continue
        table: dict[str, Any] = {"source": name, **keys} | ({"files": files} if files else {})
        for override in overrides:
            apply_override(table, override)
        yield Group((source_of(table),), Path.cwd())


def _recipe(name: str) -> Path | None:
    """Return the recipe a name stands for, unless it stands for data."""
    if name.endswith(".toml"):
        return find_recipe(name)
    shipped = {path.stem: path for path in shipped_recipes()}
    return None if Path(name).exists() else shipped.get(name)


def source_of(table: dict[str, Any]) -> TaskSource:
    """Return a source; its mistakes are told as those of a recipe that holds it."""
    tasks = [table, {"source": "tiny:train"}]
    whole = {"model": "tiny", "train": {"steps": 1}, "tasks": tasks}
    return validate(whole, shorten(table["source"], 200)).tasks[0]


def _read(source: TaskSource, base: Path) -> list[Loaded]:
    if not is_embedded(source):
        return load(source, base)
    return [
        Loaded(
            source,
            entry.task.name,
            items={
                split: [
                    Item(example, Place(source.source), (example.output,))
                    for example in getattr(entry.task, split)
                ]
                for split in SPLITS
            },
            instruction=entry.task.instruction,
            family=entry.task.family,
        )
        for entry in load_tasks([source], 0, base)
    ]


def join_splits(paths: Sequence[str]) -> list[str | tuple[str, dict[str, str]]]:
    """Take train.jsonl and valid.jsonl of one folder for the splits of one data set."""
    groups: dict[Path, dict[str, str]] = {}
    for path in map(Path, paths):
        split = meaning(path.name.split(".")[0]) if format_of(path.name) else None
        if split:
            groups.setdefault(path.parent, {}).setdefault(split, path.name)
    joined: list[str | tuple[str, dict[str, str]]] = []
    for text in paths:
        path = Path(text)
        group = groups.get(path.parent, {})
        if "train" not in group or len(group) < 2 or path.name not in group.values():
            joined.append(text)
        elif path.name == group["train"]:
            joined.append((str(path.parent), group))
    return joined


def _first_of_kinds(found: list[Problem]) -> Iterator[Problem]:
    seen: Counter[str] = Counter()
    for problem in found:
        seen[problem.kind] += 1
        if seen[problem.kind] <= _MOST_OF_A_KIND:
            yield problem


def _counts(read: list[Loaded], found: list[Problem]) -> str:
    examples = sum(1 for loaded in read for _ in loaded.all_items())
    what = f"{_plural(examples, 'example')} in {_plural(len(read), 'data set')}"
    chosen = [loaded.selection for loaded in read if loaded.selection]
    if chosen:
        kept, seen = sum(one.kept for one in chosen), sum(one.seen for one in chosen)
        what += f" ({kept:,} of {seen:,} rows fit `where`)"
    wrong = len(errors(found))
    counts = f"{_plural(wrong, 'error')}, {_plural(len(found) - wrong, 'warning')}"
    return f"{what}: {counts if found else 'no problems'}"


def _kinds(found: list[Problem]) -> str:
    """Sum problems up by kind."""
    counts = Counter((problem.severity, problem.kind) for problem in found)
    lines = [
        printable(f"  {_plural(count, severity)}: {kind}")
        for (severity, kind), count in counts.most_common()
    ]
    return "\n".join([*lines, f"{_MOST_OF_A_KIND} of a kind are shown; --all shows all"])


def _told(problem: Problem) -> str:
    hint = f" ({problem.hint})" if problem.hint else ""
    return printable(f"{problem.place}: {problem.severity}: {problem.message}{hint}")


def _record(problem: Problem) -> dict[str, Any]:
    return {
        "path": problem.place.path,
        problem.place.unit: problem.place.number or None,
        "severity": problem.severity,
        "kind": problem.kind,
        "message": problem.message,
        "hint": problem.hint,
    }


def _summary(loaded: Loaded, examples: int) -> dict[str, Any]:
    items = list(loaded.all_items())
    labelled = loaded.family in LABELLED
    labels = Counter(answer for item in items for answer in item.answers) if labelled else Counter()
    columns, chosen = loaded.columns, loaded.selection
    return {
        "name": loaded.name,
        "source": loaded.source.source,
        "input": columns.input if columns else None,
        "output": columns.output if columns else None,
        "chosen": not (loaded.source.input and loaded.source.output),
        "where": {"kept": chosen.kept, "seen": chosen.seen} if chosen else None,
        "instruction": loaded.instruction,
        "family": loaded.family,
        "guessed": loaded.source.family is None and not is_embedded(loaded.source),
        "splits": {split: len(items) for split, items in loaded.items.items()},
        "files": loaded.files,
        "labels": dict(labels.most_common()),
        "unused": [problem.message for problem in loaded.remarks],
        "errors": len(errors(loaded.problems)),
        "first_error": next((_told(problem) for problem in errors(loaded.problems)), None),
        "examples": [
            {"input": item.example.input, "output": item.example.output}
            for item in items[:examples]
        ],
    }


def _page(summary: dict[str, Any]) -> str:
    labels = [f"{shorten(name, 30)} {count}" for name, count in summary["labels"].items()]
    more = f", and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
    chosen = "  (chosen from the fields of the first row)" if summary["chosen"] else ""
    guessed = "  (guessed from the answers)" if summary["guessed"] else ""
    lines = [
        f"{shorten(summary['name'], 200)}  ({shorten(summary['source'], 500)})",
        f"  input   {shorten(str(summary['input']), 200)}{chosen if summary['input'] else ''}",
        f"  output  {shorten(str(summary['output']), 200)}",
        f"  family  {summary['family']}{guessed}",
        "  splits  " + ", ".join(f"{split} {count}" for split, count in summary["splits"].items()),
    ]
    if where := summary["where"]:
        lines.append(f"  where   {where['kept']:,} of {where['seen']:,} rows")
    if summary["instruction"]:
        lines.append(f"  instruction  {shorten(summary['instruction'], 200)}")
    lines += [f"  unused  {shorten(words, 200)}" for words in summary["unused"]]
    if labels:
        lines.append(f"  labels  {len(labels)}: {', '.join(labels[:_MOST_LABELS])}{more}")
    if summary["first_error"]:
        lines.append(f"  error   {summary['first_error']}")
    for number, example in enumerate(summary["examples"], start=1):
        lines.append(f"  {number}. {shorten(example['input'], 92)}")
        lines.append(f"     -> {shorten(example['output'], 88)}")
    return "\n".join(lines)


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
