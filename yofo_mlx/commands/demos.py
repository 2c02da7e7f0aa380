"""`yofo demos`: named demonstration sets, listed, filled, shown, checked, dropped."""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yofo_mlx.commands import data, given, unlabelled
from yofo_mlx.commands.chatroom import Chatroom, tell_read
from yofo_mlx.commands.health_lines import health_lines
from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.prompting import cache_header, demonstrations, sets
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.prompting.demonstrations import Parsed, Style
from yofo_mlx.prompting.protocol import CACHE_SUFFIX
from yofo_mlx.prompting.sets import DemoSet
from yofo_mlx.runs import listing
from yofo_mlx.system import paths
from yofo_mlx.system.files import disk_error, size_of
from yofo_mlx.system.quantities import plural, size
from yofo_mlx.system.talk import quoted, say, say_next
from yofo_mlx.system.text import json_line, printable, shorten, some_of
from yofo_mlx.tasks import checks
from yofo_mlx.tasks.problems import Place, Problem, errors
from yofo_mlx.tasks.sources import LoadedSource, after
from yofo_mlx.tasks.task import Example

_SHOWN_PROBLEMS = 5
_SHOWN_LABELS = 12
_ROWS = re.compile(r"(\d{1,12})(?:-(\d{1,12}))?")


def show_all(*, as_json: bool = False) -> ExitCode:
    """List the sets, and what models have kept of them."""
    found = [_summary(one, one.read()) for one in sets.everything()]
    if as_json:
        print(json_line(found))
        return ExitCode.OK
    if not found:
        say("there are no demonstration sets")
        say_next("demos add NAME FILE")
        return ExitCode.OK
    rows = [
        [
            one["name"],
            f"{one['rows']:,}",
            f"{len(one['labels']):,}" if one["labels"] else "–",
            size(one["bytes"]),
            size(one["cache_bytes"]) if one["caches"] else "–",
        ]
        for one in found
    ]
    numbers = ("rows", "labels", "size", "caches")
    show_table(("set", *numbers), rows, numbers=numbers)
    for one in found:
        for kept in one["caches"]:
            say(f"{one['name']}: {size(kept['bytes'])} kept {_of_whom(kept)}")
        if one["problems"]:
            say(f"{one['name']}: {plural(one['problems'], 'line')} cannot be read")
    say_next(_asked(found[0]["name"]))
    return ExitCode.OK


def _of_whom(kept: dict[str, Any]) -> str:
    if kept["problem"]:
        return f"in {kept['path']}, which cannot be used: {kept['problem']}"
    adapter = f" with the adapter {kept['adapter']}" if kept["adapter"] else ", no adapter"
    bits = f", {kept['bits']} bits" if kept["bits"] else ""
    template = f", template {kept['template']}" if kept["template"] else ""
    counts = f"{plural(kept['shots'], 'demonstration')}, {plural(kept['tokens'], 'token')}"
    return f"of {counts}, by {kept['model']}{adapter}{template}{bits}"


def _summary(one: DemoSet, loaded: LoadedSource) -> dict[str, Any]:
    caches = [asdict(kept) for kept in cache_header.kept_files(one.caches)]
    return {
        "name": one.name,
        "path": str(one.path),
        "instruction": loaded.instruction,
        "rows": sum(1 for _ in loaded.all_items()),
        "labels": dict(loaded.label_counts().most_common()),
        "problems": len(loaded.problems),
        "bytes": one.path.stat().st_size,
        "cache_bytes": size_of(one.caches),
        "caches": caches,
    }


def add(
    name: str,
    names: Sequence[str],
    *,
    style: Style,
    instruction: str | None = None,
    as_json: bool = False,
) -> ExitCode:
    """Append demonstrations to a set, which is made if it is not there."""
    one = sets.checked(name)
    if instruction is not None:
        instruction = given.argument(instruction).strip()
    if not names:
        if instruction is None:
            raise RecipeError("nothing to add is named", f"`yofo demos add {one.name} FILE`")
        sets.get(name).instruct(instruction)
    parsed = demonstrations.joined([_part(name, style) for name in names]) if names else None
    examples, said = _as_of(one, parsed, instruction) if parsed else ([], instruction)
    added = sets.add(one, examples, said)
    if as_json:
        print(json_line({"name": one.name, "path": str(one.path), **asdict(added)}))
        return ExitCode.OK
    if parsed:
        tell_read(parsed)
    doublets = f"; {added.doublets:,} are there already" if added.doublets else ""
    say(f"{plural(added.added, 'row')} added to {one.name}, which has {added.rows:,}{doublets}")
    if added.contradictions:
        say(f"  inputs with more than one answer: {added.contradictions:,}")
        say_next(f"demos check {one.name}")
    else:
        say_next(_asked(one.name))
    return ExitCode.OK


def _asked(name: str, who: Sequence[str] = ()) -> str:
    """Return what asks with a set: who was named, the newest run with an adapter, or `tiny`."""
    adapted = any(run.adapter_path.is_dir() for run in listing.list_runs()[:1])
    return f"chat {quoted(*(who or (['last'] if adapted else ['--model', 'tiny'])))} --demos {name}"


def _named(run: str | None, model: str | None) -> list[str]:
    """Return the words that name who reads a set."""
    return [*([run] if run else []), *(["--model", model] if model else [])]


def _part(name: str, style: Style) -> Parsed:
    """Read what is added; of a saved prompt cache, the demonstrations that it was made from."""
    if name.endswith(CACHE_SUFFIX):
        examples, instruction = cache_header.demonstrations_in(Path(name).expanduser())
        return Parsed(tuple(examples), (), "a saved prompt cache", instruction)
    if name.startswith(unlabelled.MARK):
        wrong = f"a set is of rows with answers, and {shorten(name, 200)} has none"
        raise RecipeError(wrong, f"give both where you ask: `--demos SET --demos {name}`")
    return given.parsed([name], style) or Parsed((), (), "nothing")


def _as_of(
    one: DemoSet, parsed: Parsed, instruction: str | None
) -> tuple[Sequence[Example], str | None]:
    """Return the examples as they are of a set, and what becomes its instruction.

    What its source says before them is the instruction of a new set, else stands before each.
    """
    if instruction is not None or not parsed.instruction:
        return parsed.examples, instruction
    if not one.path.is_file():
        return parsed.examples, parsed.instruction
    if parsed.instruction == one.instruction:
        return parsed.examples, None
    return [after(parsed.instruction, example) for example in parsed.examples], None


def show(
    name: str, *, run: str | None = None, model: str | None = None, as_json: bool = False
) -> ExitCode:
    """Print the rows of a set with their numbers, and with their tokens where a model is named."""
    one = sets.get(name)
    loaded = one.read()
    rows = [item.example for item in loaded.all_items()]
    opening: int | None = None
    tokens: list[int] = []
    if run or model:
        from yofo_mlx.prompting.lengths import lengths  # it needs MLX

        opening, tokens = lengths(run, model, loaded.instruction, rows)
    if as_json:
        pairs: list[dict[str, Any]] = [
            {"row": number, **asdict(row)} for number, row in enumerate(rows, start=1)
        ]
        for pair, length in zip(pairs, tokens, strict=False):
            pair["tokens"] = length
        print(json_line(_summary(one, loaded) | {"opening_tokens": opening, "rows": pairs}))
        return ExitCode.OK
    if loaded.instruction:
        print(f"       {shorten(loaded.instruction, 90)}")
    for number, row in enumerate(rows, start=1):
        counted = f"{tokens[number - 1]:6,}  " if tokens else ""
        print(f"{number:6,}  {counted}{shorten(row.input, 60)} -> {shorten(row.output, 30)}")
    if opening is not None:
        say(f"{plural(opening + sum(tokens), 'token')} of {model or run}")
    _tell_of(loaded)
    say_next(f"demos check {quoted(one.name, *_named(run, model))}")
    return ExitCode.OK


def _tell_of(loaded: LoadedSource) -> None:
    rows = sum(1 for _ in loaded.all_items())
    counts = loaded.label_counts().most_common()
    labels = [f"{shorten(label, 30)} {times:,}" for label, times in counts]
    names = some_of(labels, _SHOWN_LABELS)
    told = f"; {plural(len(counts), 'label')}: {names}" if counts else ""
    say(f"{plural(rows, 'row')}{told}")
    for problem in loaded.problems[:_SHOWN_PROBLEMS]:
        say(f"  {problem.in_full()}")


def check(
    name: str, *, run: str | None = None, model: str | None = None, as_json: bool = False
) -> ExitCode:
    """Print what is wrong with a set, with its health where a model is named.

    The exit code is 3 if a line of it cannot be read.
    """
    one = sets.get(name)
    loaded = one.read()
    found = [*checks.check(loaded), *_one_answer(one, loaded)]
    health = _health(one.name, run, model) if run or model else {}
    if as_json:
        problems = [data.record(problem) for problem in found]
        print(json_line(_summary(one, loaded) | {"problems": problems} | health))
    else:
        for problem in data.first_of_kinds(found):
            print(problem.in_full())
        for line in health_lines(health["health"]) if health else ():
            print(printable(line))
        _tell_of(loaded)
        wrong = len(errors(found))
        say(f"{plural(wrong, 'error')}, {plural(len(found) - wrong, 'warning')}")
        say_next(f"demos show {one.name}" if found else _asked(one.name, _named(run, model)))
    return ExitCode.DATA if errors(found) else ExitCode.OK


def _health(name: str, run: str | None, model: str | None) -> dict[str, Any]:
    """Return what a model makes of a set, as `health`."""
    who = given.model_of(run, model, None, base=False)
    style = demonstrations.style_of(who.run)
    with SessionClient() as client:
        room = Chatroom(client, who, style=style)
        room.take_file(name)
        return {"health": room.health()}


def _one_answer(one: DemoSet, loaded: LoadedSource) -> Iterator[Problem]:
    answers = {item.example.output for item in loaded.all_items()}
    if len(answers) == 1:
        message = f"every row has the answer {shorten(min(answers), 40)!r}, and so will every query"
        yield Problem(Place(str(one.path)), message, "add rows of the other labels", "warning")


def drop(
    name: str | None, numbers: Sequence[str], *, caches: bool = False, as_json: bool = False
) -> ExitCode:
    """Drop a set, rows of it, or what models have kept of it."""
    if caches:
        if numbers:
            raise RecipeError("caches are of a set, not of rows", "leave the rows or --caches out")
        return _free([sets.get(name).caches] if name else None, as_json=as_json)
    if name is None:
        raise RecipeError("no set is named", "`yofo demos drop NAME`; `yofo demos list` lists them")
    one = sets.get(name)
    said = one.instruction
    gone, kept = sets.remove(one, list(map(_rows, numbers))) if numbers else sets.drop(one)
    if as_json:
        print(json_line({"name": one.name, "rows": gone, "kept": str(kept)}))
        return ExitCode.OK
    what = f"{plural(gone, 'row')} of {one.name}" if numbers else one.name
    say(f"dropped: {what}; kept in {kept} until you delete that")
    beside = kept.with_suffix(sets.INSTRUCTION).is_file()  # no file of rows holds it
    instructed = f" --instruction {quoted(said)}" if beside else ""
    say_next(f"demos add {one.name} {quoted(kept)}{instructed}")
    return ExitCode.OK


def _rows(text: str) -> range:
    found = _ROWS.fullmatch(text)
    if not found:
        raise RecipeError(f"{shorten(text, 40)!r} is no row", "give numbers such as 3 or 5-9")
    first = int(found[1])
    return range(first, int(found[2] or first) + 1)


def _free(folders: Sequence[Path] | None, *, as_json: bool) -> ExitCode:
    """Remove the folders of caches; without any, all there are."""
    if folders is None:
        folders = sorted(paths.demos().glob(f"*{sets.CACHES}"))
    freed = sum(map(size_of, folders))
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise disk_error(error, folder, "the same command") from error
    if as_json:
        print(json_line({"freed_bytes": freed}))
    else:
        say(f"{size(freed)} freed; what was kept there is read again when it is asked for")
    return ExitCode.OK
