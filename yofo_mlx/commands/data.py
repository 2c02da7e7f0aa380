"""`yofo data`: check data sets, show what would be made of them."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yofo_mlx.errors import ExitCode
from yofo_mlx.recipe import TaskSource
from yofo_mlx.recipe_file import find_recipe, load_recipe
from yofo_mlx.tasks import checks
from yofo_mlx.tasks.problems import Problem, errors
from yofo_mlx.tasks.readers import format_of
from yofo_mlx.tasks.sources import Loaded, load
from yofo_mlx.tasks.splits import meaning
from yofo_mlx.text import printable, shorten

Sourced = tuple[TaskSource, Path]

_MOST_LABELS = 12


def check(
    paths: Sequence[str],
    *,
    input: str | None = None,
    output: str | None = None,
    records: str | None = None,
    strict: bool = False,
    as_json: bool = False,
) -> ExitCode:
    """Print every problem of files, folders, hub ids or a recipe's sources.

    The exit code is 3 if there is an error, with `strict` also if there is a warning.
    """
    every = [
        loaded
        for source, base in _sources(paths, input, output, records)
        for loaded in load(source, base)
    ]
    found = [problem for loaded in every for problem in checks.check(loaded)]
    found += checks.check_held_out(every)
    wrong = len(errors(found))
    if as_json:
        print(json.dumps([_record(problem) for problem in found], indent=2))
    else:
        print("".join(f"{_told(problem)}\n" for problem in found), end="")
    examples = sum(1 for loaded in every for _ in loaded.all_items())
    counts = f"{_plural(wrong, 'error')}, {_plural(len(found) - wrong, 'warning')}"
    what = f"{_plural(examples, 'example')} in {_plural(len(every), 'data set')}"
    print(f"{what}: {counts if found else 'no problems'}", file=sys.stderr)
    return ExitCode.DATA if wrong or (strict and found) else ExitCode.OK


def preview(
    *paths: str,
    input: str | None = None,
    output: str | None = None,
    records: str | None = None,
    examples: int = 3,
    as_json: bool = False,
) -> ExitCode:
    """Print what would be made of data sets: columns, splits, family, labels, examples."""
    shown = [
        _summary(loaded, examples)
        for source, base in _sources(paths, input, output, records)
        for loaded in load(source, base)
    ]
    if as_json:
        print(json.dumps(shown, indent=2))
    else:
        print("\n\n".join(_page(summary) for summary in shown))
    failed = [summary for summary in shown if summary["errors"]]
    if failed:
        print(
            f"errors in {_plural(len(failed), 'data set')}: yofo data check PATH", file=sys.stderr
        )
    return ExitCode.DATA if failed else ExitCode.OK


def _sources(
    paths: Sequence[str], input: str | None, output: str | None, records: str | None
) -> Iterator[Sourced]:
    """Yield what to read: the sources of a recipe, or one for each path."""
    here = Path.cwd()
    for path in _join_splits(paths):
        if isinstance(path, str) and path.endswith(".toml"):
            yield from _recipe_sources(find_recipe(path))
            continue
        files = None if isinstance(path, str) else path[1]
        name = path if isinstance(path, str) else path[0]
        yield (
            TaskSource.model_validate(
                {
                    "source": name,
                    "files": files,
                    "input": input,
                    "output": output,
                    "records": records,
                }
            ),
            here,
        )


def _join_splits(paths: Sequence[str]) -> list[str | tuple[str, dict[str, str]]]:
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


def _recipe_sources(path: Path) -> Iterator[Sourced]:
    for source in load_recipe(path).tasks:
        if not source.source.startswith("tiny:"):
            yield source, path.parent


def _told(problem: Problem) -> str:
    hint = f" ({problem.hint})" if problem.hint else ""
    return printable(f"{problem.place}: {problem.severity}: {problem.message}{hint}")


def _record(problem: Problem) -> dict[str, Any]:
    return {
        "path": problem.place.path,
        problem.place.unit: problem.place.number or None,
        "severity": problem.severity,
        "message": problem.message,
        "hint": problem.hint,
    }


def _summary(loaded: Loaded, examples: int) -> dict[str, Any]:
    items = list(loaded.all_items())
    family = loaded.source.family if loaded.source.family != "other" else checks.guess_family(items)
    labelled = family in ("classification", "multilabel", "nli")
    labels = Counter(answer for item in items for answer in item.answers) if labelled else Counter()
    columns = loaded.columns
    return {
        "name": loaded.name,
        "source": loaded.source.source,
        "input": columns.input if columns else None,
        "output": columns.output if columns else None,
        "chosen": not (loaded.source.input and loaded.source.output),
        "family": family,
        "splits": {split: len(items) for split, items in loaded.items.items()},
        "files": loaded.files,
        "labels": dict(labels.most_common()),
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
    lines = [
        f"{shorten(summary['name'], 200)}  ({shorten(summary['source'], 500)})",
        f"  input   {shorten(str(summary['input']), 200)}{chosen if summary['input'] else ''}",
        f"  output  {shorten(str(summary['output']), 200)}",
        f"  family  {summary['family']}",
        "  splits  " + ", ".join(f"{split} {count}" for split, count in summary["splits"].items()),
    ]
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
