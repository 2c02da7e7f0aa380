"""`yofo eval`: scores by number of shots, base against adapter; made, listed, compared."""

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from yofo_mlx.commands import data_request, kept
from yofo_mlx.errors import DataError, ExitCode, RecipeError
from yofo_mlx.evaluation import rows as query_rows
from yofo_mlx.evaluation.archive import EvaluationFile
from yofo_mlx.evaluation.chosen import Chosen, from_data, from_recipe
from yofo_mlx.evaluation.subjects import Subject
from yofo_mlx.recipe.file import apply_override
from yofo_mlx.recipe.names import EMBEDDED
from yofo_mlx.recipe.schema import Compared, Recipe, TaskSource
from yofo_mlx.runs.events import finite
from yofo_mlx.runs.trained import Note
from yofo_mlx.runs.trash import staying
from yofo_mlx.system.files import disk_error
from yofo_mlx.system.talk import say, say_next
from yofo_mlx.system.text import json_line, printable
from yofo_mlx.tasks.registry import is_embedded
from yofo_mlx.tasks.task import Example

PICTURES = (".png", ".svg", ".pdf")
# Keys of [[tasks]] that `--set` takes for data; what they are and what for is settled.
DATA_KEYS = frozenset(TaskSource.model_fields) - {"source", "role"}


@dataclass(frozen=True)
class EvalWishes:
    """What is wanted beside scores, and where it goes."""

    choice: bool = False  # evaluation.choice, whatever the recipe says
    fresh: bool = False  # the base model is measured even if another evaluation did so
    rows: Path | None = None  # takes every query
    ways: Sequence[str] = ()  # of choosing demonstrations, which are compared
    picture: Path | None = None
    as_json: bool = False


def evaluate(
    subject: Subject,
    overrides: Sequence[str] = (),
    *,
    data: Sequence[str] = (),
    keys: Mapping[str, str | None] | None = None,
    only: Sequence[str] = (),
    wishes: EvalWishes,
) -> ExitCode:
    """Measure a run, or what is no run; keep the result with it, or in yofo's own folder.

    `keys` are those of [[tasks]] that have options of their own.
    """
    given = {key: value for key, value in (keys or {}).items() if value is not None}
    sources, rest, options = _sources(subject, data, given, overrides)
    if subject.run is None and not sources:
        raise RecipeError(
            "there is nothing to measure it on: no run, no tasks",
            f"`yofo eval {subject.arguments} --data NEW.csv`",
        )
    _check_places(subject, wishes.picture, wishes.rows)
    subject.check()
    recipe, warnings = subject.recipe(rest)
    try:
        if sources:
            chosen = from_data(subject, recipe, sources, only, options)
        else:
            chosen = from_recipe(subject, recipe, only)
    except DataError as error:  # its hints name keys of a recipe
        hint = data_request.with_options(error.hint) if sources else error.hint
        raise DataError(error.message, hint) from error
    for line in [*chosen.told, *chosen.notes]:
        say(line)
    if wishes.choice:
        more = recipe.evaluation.model_copy(update={"choice": True})
        recipe = recipe.model_copy(update={"evaluation": more})
    full = chosen.role == "held_out" and not only and not rest
    if wishes.ways:
        return _compare_ways(subject, recipe, chosen, warnings, wishes)
    from yofo_mlx.commands.measuring import measure  # it needs MLX

    with staying(subject.run) if subject.run else nullcontext():
        made, queries = measure(
            subject,
            recipe,
            chosen,
            warnings,
            full=full,
            texts="most" if wishes.rows else "needed",
            fresh=wishes.fresh,
        )
    _show(made, queries, {one.task.name: one.task.references for one in chosen.entries}, wishes)
    if not wishes.as_json and not recipe.template.channel:  # such an adapter cannot be asked
        say_next(_onward(subject, chosen, sources or recipe.tasks, given))
    return ExitCode.OK


def _compare_ways(
    subject: Subject, recipe: Recipe, chosen: Chosen, warnings: Sequence[Note], wishes: EvalWishes
) -> ExitCode:
    """Measure each way to choose demonstrations as an evaluation of its own; print one table."""
    from yofo_mlx.commands.measuring import measure
    from yofo_mlx.evaluation.report import table_of_ways

    found = {}
    for way in wishes.ways:
        say(f"choosing: {way}")
        settings = recipe.evaluation.model_copy(update={"choose": way})
        one = recipe.model_copy(update={"evaluation": settings})
        with staying(subject.run) if subject.run else nullcontext():
            made, _ = measure(subject, one, chosen, warnings, full=False, fresh=wishes.fresh)
        say(f"kept in {printable(str(made.path))}")
        found[way] = made.content
    print(json_line(finite({"ways": found})) if wishes.as_json else table_of_ways(found))
    return ExitCode.OK


def ways_of(text: str | None) -> list[str]:
    """Return the ways to choose demonstrations that commas join."""
    named = list(dict.fromkeys(filter(None, map(str.strip, (text or "").split(",")))))
    known = get_args(Compared)
    if wrong := [one for one in named if one not in known]:
        raise RecipeError(
            f"`yofo eval` compares no way to choose demonstrations called {', '.join(wrong)}",
            f"there are: {', '.join(known)}",
        )
    return named


def _show(
    made: EvaluationFile,
    queries: Mapping[str, Sequence[Example]],
    references: query_rows.References,
    wishes: EvalWishes,
) -> None:
    """Print the table, draw the pictures, write the rows."""
    from yofo_mlx.evaluation import confusion
    from yofo_mlx.evaluation.report import draw, table

    content, rows = made.content, wishes.rows
    path = wishes.picture or made.path.with_suffix(PICTURES[0])
    draw(content, path)
    print(json_line(finite(content)) if wishes.as_json else table(content, bool(rows)))
    say(f"kept in {printable(str(made.path))}\npicture: {printable(str(path))}")
    if confusion.can_be_drawn(content):
        beside = path.with_name(f"{path.stem}-confusion{path.suffix}")
        confusion.draw(content, beside)
        say(f"confusions: {printable(str(beside))}")
    if rows:
        try:
            query_rows.write(rows, [*query_rows.rows(content, queries, references)])
        except OSError as error:
            raise disk_error(error, rows.parent, "the same command") from error
        say(f"rows: {printable(str(rows))}")


def _onward(
    subject: Subject, chosen: Chosen, sources: Sequence[TaskSource], given: Mapping[str, str]
) -> str:
    """Return what comes after measuring: to ask oneself, with what was measured as demonstrations.

    `given` are options of the data.
    """
    role = "train" if chosen.role == "trained" else "held_out"
    source = next(source for source in sources if source.role == role)
    name = source.source
    if is_embedded(source):
        name = f"{EMBEDDED}:{chosen.entries[0].task.name}"
    elif source.files:
        name = str(Path(name) / source.files.get("train", ""))
    if source.where or source.groups:  # no option chooses among rows
        return f"chat {subject.arguments}"
    said = {key: given.get(key) or getattr(source, key) for key in ("input", "output", "records")}
    options = [word for key, value in said.items() if value for word in (f"--{key}", value)]
    return f"chat {subject.arguments} {shlex.join(['--demos', name, *options])}"


def show(
    subject: Subject,
    compare: tuple[str, str] | None = None,
    *,
    idle: Mapping[str, object],
    as_json: bool = False,
) -> ExitCode:
    """List what is kept, or put two of them side by side; refuse options that would be idle."""
    if unused := [f"--{name}" for name, value in idle.items() if value]:
        what = "--compare" if compare else "--list"
        raise RecipeError(f"{what} measures nothing: {', '.join(unused)}", f"leave out {what}")
    if compare:
        return kept.side_by_side(subject, compare, as_json=as_json)
    return kept.show(subject, as_json=as_json)


def _sources(
    subject: Subject, paths: Sequence[str], keys: dict[str, str], overrides: Sequence[str]
) -> tuple[list[TaskSource], list[str], str]:
    """Return the data given, the overrides of the recipe, and the options of the data as words.

    With data, `--set` takes the keys of [[tasks]] as `yofo data check` does.
    """
    if not paths:
        if keys:
            option = next(iter(keys))
            hint = f"`yofo eval {subject.arguments} --data NEW.csv --{option} ...`"
            raise RecipeError(f"--{option} is about data, and none is given", hint)
        return [], list(overrides), ""
    own = [one for one in overrides if one.partition("=")[0].strip().split(".")[0] in DATA_KEYS]
    sources = []
    named: dict[str, str] = {}
    for path in paths:  # a file once, however it is spelt
        named.setdefault(os.path.realpath(path), path)
    for table in data_request.tables(list(named.values())):
        table |= keys
        for override in own:
            apply_override(table, override)
        sources.append(data_request.source_of(table | {"role": "held_out"}))
    words = [f"--{key} {shlex.quote(value)}" for key, value in keys.items()]
    words += [f"--set {shlex.quote(one)}" for one in own]
    return sources, [one for one in overrides if one not in own], " ".join(words)


def _check_places(subject: Subject, picture: Path | None, rows: Path | None) -> None:
    """Refuse what could not be written, before minutes of measuring."""
    if rows and (rows.suffix.lower() not in query_rows.SUFFIXES or rows.is_dir()):
        raise RecipeError(f"{rows}: rows are .csv or .jsonl", "give it such a name")
    if rows and os.path.lexists(rows) and not (rows.is_file() and query_rows.is_of_rows(rows)):
        raise RecipeError(f"{rows} exists, and holds something else", "give another name")
    check_picture(picture)
    place = subject.evaluations_path
    folder = next(path for path in (place, *place.parents) if os.path.lexists(path))
    for there in [*(path.parent for path in (picture, rows) if path), folder]:
        leads_away = there == place and there.is_symlink()
        if leads_away or not there.is_dir() or not os.access(there, os.W_OK):
            raise RecipeError(f"{there} is not a folder to write to", "choose another place")


def check_picture(path: Path | None) -> None:
    """Refuse a name that is none of a picture."""
    if path and path.is_dir():
        raise RecipeError(f"{path} is a folder", "give --picture another name")
    if path and path.suffix.lower() not in PICTURES:
        raise RecipeError(f"{path}: pictures are .png, .svg or .pdf", "give it such a name")
    if path and not path.absolute().parent.is_dir():
        raise RecipeError(f"{path.parent} is no folder", "make it, or give another --picture")
