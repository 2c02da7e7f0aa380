"""`yofo data convert` and `yofo data merge`: what was read, written as JSON Lines."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from yofo_mlx.commands import data_request
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.errors import DataError, ExitCode, RecipeError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.files import new_folder, write_text
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import print_path, quoted, say, say_next
from yofo_mlx.tasks import checks
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.families import guess_family
from yofo_mlx.tasks.problems import errors
from yofo_mlx.tasks.reading.formats import format_of
from yofo_mlx.tasks.reading.layout import is_data
from yofo_mlx.tasks.registry import is_embedded, once
from yofo_mlx.tasks.sources import LoadedSource, after
from yofo_mlx.tasks.splits import SPLITS
from yofo_mlx.tasks.writing import beside, lines

Sets = Sequence[LoadedSource]
Files = dict[str, tuple[list[Item], LoadedSource]]
"""Examples with the data set that they are of, by path below a folder."""

ALL = "all"


def convert(request: DataRequest, *, out: Path | None, split: str | None, force: bool) -> ExitCode:
    """Write each data set as rows with `input` and `output`: to a file, or to a folder by split."""
    _refuse_existing(None if force else out)
    sets = _read(request)
    _tell_problems(sets)
    _write(sets, out, split)
    return ExitCode.OK


def merge(
    request: DataRequest, *, out: Path, split: str | None, force: bool, keep_repeats: bool
) -> ExitCode:
    """Write several data sets as one: split by split, repeated rows once."""
    _refuse_existing(None if force else out)
    sets = _read(request)
    families = dict.fromkeys(loaded.family for loaded in sets)
    if len(families) > 1:
        say(f"one task of several kinds: {', '.join(families)}")
    merged = _joined(sets, out.stem)
    if not keep_repeats:
        rows = sum(1 for _ in merged.all_items())
        merged.items = {name: once(items) for name, items in merged.items.items()}
        if repeats := rows - sum(1 for _ in merged.all_items()):
            say(f"{plural(repeats, 'repeated row')} left out; --keep-repeats keeps them")
    _tell_problems([merged])
    _write([merged], out, split)
    return ExitCode.OK


def _read(request: DataRequest) -> list[LoadedSource]:
    """Read data sets; an error in any of them stops it, as it would stop a run."""
    sets: list[LoadedSource] = []
    for group in data_request.read(request):
        if group.told:
            say(group.told)
        sets += group.sets
    if wrong := [problem for loaded in sets for problem in errors(loaded.problems)]:
        more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
        hint = f"all of them: yofo data check {request}; `--set bad_rows=drop` leaves rows out"
        if not any(any(loaded.all_items()) for loaded in sets):
            hint = wrong[0].hint
        raise DataError(f"{wrong[0]}{more}", hint)
    return sets


def _joined(sets: Sets, name: str) -> LoadedSource:
    """Return one data set of several; instructions that differ stand before each input."""
    instructions = {loaded.instruction for loaded in sets}
    merged = LoadedSource(TaskSource(source=name), name)
    for loaded in sets:
        for split, items in loaded.items.items():
            if len(instructions) > 1 and loaded.instruction:
                items = [replace(i, example=after(loaded.instruction, i.example)) for i in items]
            merged.items.setdefault(split, []).extend(items)
        merged.problems += loaded.problems
        merged.remarks += loaded.remarks
    if len(instructions) == 1:
        merged.instruction = instructions.pop()
    elif len(instructions) > 1:
        say(f"{len(instructions)} instructions: each stands before its rows' inputs")
    families = {loaded.family for loaded in sets}
    items = list(merged.all_items())
    merged.family = families.pop() if len(families) == 1 else guess_family(items)
    return merged


def _tell_problems(sets: Sets) -> None:
    """Count what was left out and what looks wrong, by kind, with the first of each."""
    found = [problem for loaded in sets for problem in checks.check(loaded)]
    first = {problem.kind: problem for problem in reversed(found)}
    for kind, times in Counter(problem.kind for problem in found).most_common():
        say(f"{plural(times, 'warning')}: {kind}; the first: {first[kind]}")
    for loaded in sets:
        if loaded.source.limit:
            say(f"{loaded.name}: `limit` is for runs; all rows are written")
        items = list(loaded.all_items())
        tells = loaded.family == guess_family(items) and not any(i.references for i in items)
        if not tells and not is_embedded(loaded.source):
            say(f"{loaded.name}: rows do not tell the family: --set family={loaded.family}")
        for key in beside(items):
            say(f"{loaded.name}: `{key}` is a column that has to be named: --set {key}={key}")


def _write(sets: Sets, out: Path | None, split: str | None) -> None:
    """Write to standard output, to a file, or to a folder with a file for each split."""
    if out is None or _is_file(out):
        if len(sets) > 1:
            hint = "--out FOLDER takes a file for each; `yofo data merge` makes one task of them"
            raise RecipeError(f"these are {len(sets)} data sets", hint)
        items = _only(sets[0], split)
        if out is None:
            as_ascii = (sys.stdout.encoding or "").lower() != "utf-8"
            sys.stdout.writelines(_lines(items, sets[0], as_ascii=as_ascii))
            say(plural(len(items), "row"))
            return
        files = {out.name: (items, sets[0])}
    else:
        files = _files(sets, split)
    try:
        if _is_file(out):
            _fill(out.parent, files)
        elif out.is_dir():
            _fill(out, files)
            there = sorted(path.name for path in out.iterdir() if is_data(path.name))
            if others := [name for name in there if name not in files]:
                say(f"also in {out}, as before: {', '.join(others)}")
        else:
            with new_folder(out) as folder:
                _fill(folder, files)
    except OSError as error:
        wrong = f"cannot write {out}: {error.strerror}"
        raise RecipeError(wrong, "choose another place") from error
    for name, (items, _) in files.items():
        say(f"{name}: {plural(len(items), 'row')}")
    print_path(out)
    say_next(f"data preview {quoted(out)}{'/*' if len(sets) > 1 else ''}")


def _refuse_existing(out: Path | None) -> None:
    """Refuse a place where something is, unless it is an empty folder."""
    if out is None or not os.path.lexists(out):
        return
    if not out.is_dir() or _is_file(out) or any(out.iterdir()):
        raise RecipeError(f"{out} exists already", "give another name, or --force to write over it")


def _fill(folder: Path, files: Files) -> None:
    for name, (items, loaded) in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        write_text(path, "".join(_lines(items, loaded)))


def _lines(items: list[Item], loaded: LoadedSource, *, as_ascii: bool = False) -> Iterator[str]:
    """Yield a data set's lines; what any of its rows has beside the answer all of them have."""
    return lines(items, loaded.instruction, beside(loaded.all_items()), as_ascii=as_ascii)


def _files(sets: Sets, split: str | None) -> Files:
    """Return what goes to which file of a folder; several sets of splits have folders in it."""
    files: Files = {}
    for loaded in sets:
        of_split = _splits(loaded, split)
        name = re.sub(r"[/\\\0]+", "-", loaded.name).lstrip(".") or "task"
        for one, items in of_split.items():
            within = f"{name}.jsonl" if len(of_split) == 1 else f"{name}/{one}.jsonl"
            path = within if len(sets) > 1 else f"{one}.jsonl"
            if path in files:
                raise RecipeError(f"two data sets are called {loaded.name!r}", "convert each alone")
            files[path] = (items, loaded)
    return files


def _splits(loaded: LoadedSource, split: str | None) -> dict[str, list[Item]]:
    """Return the examples by the splits that are wanted."""
    there: dict[str, list[Item]] = {
        name: loaded.items[name] for name in SPLITS if loaded.items.get(name)
    }
    if split is None:
        return there
    if split == ALL:
        return {"train": list(loaded.all_items())}
    if split not in there:
        raise RecipeError(f"{loaded.name} has no rows of {split}", f"there are: {', '.join(there)}")
    return {split: there[split]}


def _only(loaded: LoadedSource, split: str | None) -> list[Item]:
    of_split = _splits(loaded, split)
    if len(of_split) > 1:
        sizes = ", ".join(f"{name} {len(items):,}" for name, items in of_split.items())
        hint = "--split train takes one, --split all joins them, --out FOLDER keeps them apart"
        raise RecipeError(f"{loaded.name} has several splits: {sizes}", hint)
    return next(iter(of_split.values()))


def _is_file(out: Path) -> bool:
    """Tell whether a name is that of a file of rows; endings of other forms are refused."""
    if out.suffix.lower() in (".jsonl", ".ndjson"):
        return True
    if format_of(out.name):
        raise RecipeError(f"{out}: rows are written as JSON Lines", "end the name in .jsonl")
    return False
