"""`yofo data`: check data sets, show what would be made of them."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yofo_mlx.commands import data_request
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.commands.settings import USUAL
from yofo_mlx.errors import ExitCode
from yofo_mlx.recipe.compose import compose
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import say, say_next
from yofo_mlx.system.text import printable, shorten, some_of
from yofo_mlx.tasks import checks
from yofo_mlx.tasks.problems import Problem, errors
from yofo_mlx.tasks.registry import is_embedded
from yofo_mlx.tasks.sources import LoadedSource
from yofo_mlx.tasks.summary import DataSummary, sum_up

_MOST_LABELS = 12
_EXAMPLES = 3
_MOST_OF_A_KIND = 20


def check(
    request: DataRequest, *, strict: bool = False, every: bool = False, as_json: bool = False
) -> ExitCode:
    """Print the problems of files, folders, hub ids or a recipe's sources.

    The exit code is 3 if there is an error, with `strict` also if there is a warning. The first
    ones of a kind are printed, with `every` and as JSON all of them.
    """
    read: list[LoadedSource] = []
    own: list[LoadedSource] = []
    found: list[Problem] = []
    recipe = None
    for group in data_request.read(request):
        # The embedded suite has few answers on purpose.
        known = [loaded for loaded in group.sets if not is_embedded(loaded.source)]
        subset = group.label_subset
        problems = [problem for loaded in known for problem in checks.check(loaded, subset)]
        found += problems if group.recipe else map(data_request.as_options, problems)
        if group.recipe:
            recipe = recipe or group.recipe
            found += checks.check_names([loaded.name for loaded in group.sets])
        if group.told:
            say(group.told)
        read += group.sets
        own += known
    found += checks.check_held_out(own)
    if as_json:
        print(json.dumps([record(problem) for problem in found], indent=2))
    else:
        shown = found if every else list(first_of_kinds(found))
        print("".join(f"{problem.in_full()}\n" for problem in shown), end="")
    print(_counts(read, found), file=sys.stderr)
    if not as_json:
        if len(shown) < len(found):
            print(_kinds(found), file=sys.stderr)
        if errors(found):
            say_next(f"data check {request}")
        else:
            say_next(_shown(recipe, request) if recipe else f"data preview {request}")
    return ExitCode.DATA if errors(found) or (strict and found) else ExitCode.OK


def preview(request: DataRequest, *, as_json: bool = False) -> ExitCode:
    """Print what would be made of data sets: columns, splits, family, labels, examples."""
    groups = list(data_request.read(request))
    shown = [sum_up(loaded, _EXAMPLES) for group in groups for loaded in group.sets]
    if as_json:
        print(json.dumps([asdict(summary) for summary in shown], indent=2))
    else:
        print("\n\n".join(_page(summary) for summary in shown))
    for told in (group.told for group in groups if group.told):
        say(told)
    failed = sum(bool(summary.errors) for summary in shown)
    if failed:
        say(f"errors in {plural(failed, 'data set')}")
    if as_json:
        pass
    elif failed:
        say_next(f"data check {request}")
    else:
        recipe = next((group.recipe for group in groups if group.recipe), None)
        say_next(_shown(recipe, request) if recipe else f"recipes new {request}")
    return ExitCode.DATA if failed else ExitCode.OK


def _shown(recipe: Path, request: DataRequest) -> str:
    """Return what shows a recipe; one that is only a part of some is shown on top of the usual."""
    is_whole = compose([recipe]).data.keys() >= {"model", "train"}
    names = [str(recipe)] if is_whole else [USUAL, str(recipe)]
    return f"show {DataRequest(names, overrides=request.overrides)}"


def first_of_kinds(found: list[Problem]) -> Iterator[Problem]:
    """Yield the problems, of each kind the first ones."""
    seen: Counter[str] = Counter()
    for problem in found:
        seen[problem.kind] += 1
        if seen[problem.kind] <= _MOST_OF_A_KIND:
            yield problem


def _counts(read: list[LoadedSource], found: list[Problem]) -> str:
    examples = sum(1 for loaded in read for _ in loaded.all_items())
    what = f"{plural(examples, 'example')} in {plural(len(read), 'data set')}"
    chosen = [loaded.selection for loaded in read if loaded.selection]
    if chosen:
        kept, seen = sum(one.kept for one in chosen), sum(one.seen for one in chosen)
        what += f" ({kept:,} of {seen:,} rows fit `where`)"
    wrong = len(errors(found))
    counts = f"{plural(wrong, 'error')}, {plural(len(found) - wrong, 'warning')}"
    again = "; mend the errors and check again" if wrong else ""
    return f"{what}: {counts if found else 'no problems'}{again}"


def _kinds(found: list[Problem]) -> str:
    """Sum problems up by kind."""
    counts = Counter((problem.severity, problem.kind) for problem in found)
    lines = [
        printable(f"  {plural(times, severity)}: {kind}")
        for (severity, kind), times in counts.most_common()
    ]
    return "\n".join([*lines, f"{_MOST_OF_A_KIND} of a kind are shown; --all shows all"])


def record(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON has it."""
    return {
        "path": problem.place.path,
        problem.place.unit: problem.place.number or None,
        "severity": problem.severity,
        "kind": problem.kind,
        "message": problem.message,
        "hint": problem.hint,
    }


def _page(summary: DataSummary) -> str:
    labels = [f"{shorten(name, 30)} {times}" for name, times in summary.labels.items()]
    chosen = "  (chosen from the fields of the first row)" if summary.chosen else ""
    guessed = "  (guessed from the answers)" if summary.guessed else ""
    lines = [
        f"{shorten(summary.name, 200)}  ({shorten(summary.source, 500)})",
        f"  input   {shorten(str(summary.input), 200)}{chosen if summary.input else ''}",
        f"  output  {shorten(str(summary.output), 200)}",
        f"  family  {summary.family}{guessed}",
        f"  metric  {summary.metric}",
        "  splits  " + ", ".join(f"{split} {rows}" for split, rows in summary.splits.items()),
    ]
    if where := summary.where:
        lines.append(f"  where   {where.kept:,} of {where.seen:,} rows")
    if summary.instruction:
        lines.append(f"  instruction  {shorten(summary.instruction, 200)}")
    lines += [f"  note    {shorten(words, 200)}" for words in summary.unused]
    if labels:
        lines.append(f"  labels  {len(labels)}: {some_of(labels, _MOST_LABELS)}")
    if summary.first_error:
        lines.append(f"  error   {summary.first_error}")
    for number, example in enumerate(summary.examples, start=1):
        lines.append(f"  {number}. {shorten(example.input, 92)}")
        lines.append(f"     -> {shorten(example.output, 88)}")
    return "\n".join(lines)
