"""`yofo eval --list` and `--compare`: evaluations that are kept; nothing is loaded."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.archive import ROLES, Content, Keeper, Kept, Means
from yofo_mlx.evaluation.comparison import Comparison, compare_evaluations
from yofo_mlx.evaluation.report import curve_lines
from yofo_mlx.evaluation.subjects import Subject
from yofo_mlx.runs import listing
from yofo_mlx.system.talk import say, say_next
from yofo_mlx.system.text import json_line, printable, shorten, some_of

COLUMNS = tuple("number date measured queries shots metric base adapter step state".split())
WIDTH = 60  # characters of what was measured
NAMED = 3  # tasks of an evaluation


def show(subject: Subject, *, as_json: bool) -> ExitCode:
    """List the evaluations that are kept, newest first."""
    kept = archive.listed(subject)
    if as_json:
        print(json_line([asdict(one) | {"path": str(one.path)} for one in kept]))
        return ExitCode.OK
    if not kept:
        if subject.run:
            say("no evaluations yet")
            say_next(f"eval {subject.arguments}")
        else:
            say(f"no evaluations yet: `yofo eval {subject.arguments} --data NEW.csv` makes one")
        return ExitCode.OK
    from yofo_mlx.commands.terminal_table import show_table  # rich

    show_table(COLUMNS, [line for one in kept for line in _lines(one)])
    if pair := _comparable(kept):
        two = " ".join(str(one.number) for one in pair)
        say_next(f"eval {subject.arguments} --compare {two}")
    return ExitCode.OK


def _comparable(kept: list[Kept]) -> tuple[Kept, Kept] | None:
    """Return the newest two that have a task in common, the older one first."""
    whole = [one for one in kept if one.complete]
    for second, first in combinations(whole, 2):
        if {*first.tasks} & {*second.tasks}:
            return first, second
    return None


def _lines(one: Kept) -> Iterator[tuple[str, ...]]:
    """Yield a line for each metric; one that is not complete has none yet."""
    state = "" if one.complete else f"interrupted, {one.done} of {len(one.tasks)} tasks"
    head = (
        str(one.number),
        printable(one.date[:16].replace("T", " ")),
        measured(one),
        "-" if one.queries is None else str(one.queries),
    )
    step = "-" if one.step is None else str(one.step)
    for place, score in enumerate(one.scores or (None,)):
        begin = head if place == 0 else ("",) * len(head)
        yield (*begin, *_figures(score), step if place == 0 else "", state if place == 0 else "")


def measured(one: Kept) -> str:
    """Return what an evaluation measured, in words."""
    if one.full:
        return f"{ROLES['held_out']} ({len(one.tasks)})"
    names = {"held_out": "", "trained": "trained: ", "data": "data: "}[one.role]
    return names + (some_of([shorten(task, WIDTH) for task in one.tasks], 1) or "-")


def _figures(score: Means | None) -> tuple[str, ...]:
    if score is None:
        return ("-", "-", "-", "-")
    return (
        str(score.shots),
        shorten(score.metric, 20),
        *("-" if x is None else f"{100 * x:.1f}" for x in (score.base, score.adapter)),
    )


def side_by_side(subject: Subject, names: tuple[str, str], *, as_json: bool) -> ExitCode:
    """Compare two evaluations that are kept."""
    (one, first), (two, second) = (_find(subject, name) for name in names)
    try:
        found = compare_evaluations(first, second)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise RecipeError(
            f"{one} or {two} is damaged: its figures cannot be read",
            f"measure again what it measured: `yofo eval {subject.arguments}`",
        ) from error
    if not any(metric["by_shots"] for metric in found.metrics):
        why = f": {found.left_out[0]}" if found.left_out else ""
        raise RecipeError(
            f"{one} and {two} have no figures in common{why}",
            f"`yofo eval {subject.arguments} --list` shows what each one measured",
        )
    if as_json:
        print(json_line(_record({one: first, two: second}, found)))
        return ExitCode.OK
    print("\n".join(printable(line, keep="\n") for line in _page(one, two, first, second, found)))
    return ExitCode.OK


def _find(subject: Subject, name: str) -> tuple[str, Content]:
    """Return an evaluation, by its number, RUN:NUMBER, RUN or a file; and what to call it."""
    keeper: Keeper = subject
    path, shown = Path(name), name
    if name.isdecimal() or not path.is_file():
        run, _, number = name.rpartition(":")
        if not number.isdecimal():
            run, number = name, ""
        keeper = listing.find(run) if run else subject
        listed = archive.listed(keeper)
        there = [one for one in listed if (one.number == int(number) if number else one.complete)]
        path = there[0].path if there else Path()
        shown = f"{path.name.split('.')[0]} of {keeper.run_id}"
    content = archive.read(path)
    if not content:
        raise RecipeError(
            f"{shorten(name, 200)} is no evaluation of {keeper.run_id}",
            f"`yofo eval {subject.arguments} --list` shows its evaluations; another run's are"
            " RUN:NUMBER",
        )
    if content.get("complete") is not True:
        raise RecipeError(
            f"evaluation {shown} was cut off: it has no figures yet",
            "the command that began it goes on with it",
        )
    return shown, content


def _page(one: str, two: str, first: Content, second: Content, found: Comparison) -> Iterator[str]:
    for number, name, content in ((1, one, first), (2, two, second)):
        tasks = content["asked"]["tasks"]
        yield f"{number}: {name}, {str(content.get('date'))[:16]}, {some_of([*tasks], NAMED)}"
    if found.differences:
        yield "\nthey differ in"
        width = max(len(x.setting) for x in found.differences)
        for x in found.differences:
            yield f"  {x.setting:<{width}}  {_short(x.first)} | {_short(x.second)}"
    if not found.is_like_for_like:
        yield (
            "\nnot like for like: other queries or demonstrations may have been asked, since"
            " one of seed, template and evaluation differs"
        )
    if found.left_out:
        yield "\nnot compared\n" + "\n".join(f"  {line}" for line in found.left_out)
    for metric in found.metrics:
        yield "\n" + "\n".join(curve_lines(metric, found.columns, "the tasks of both"))


def _short(value: Any) -> str:
    return "-" if value is None else shorten(value if isinstance(value, str) else json.dumps(value))


def _record(contents: dict[str, Content], found: Comparison) -> dict[str, Any]:
    return {
        "evaluations": [
            {"name": name, "date": one.get("date"), "asked": one["asked"]}
            for name, one in contents.items()
        ],
        "like_for_like": found.is_like_for_like,
        "differences": [asdict(one) for one in found.differences],
        "left_out": found.left_out,
        "metrics": found.metrics,
        "columns": found.columns,
    }
