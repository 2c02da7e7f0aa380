"""What `yofo classify` and `yofo ask` share: a file of queries, answered behind demonstrations."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yofo_mlx.answering import job, output
from yofo_mlx.answering.asking import BLOCKS_AHEAD, ROWS_AHEAD, Asker
from yofo_mlx.answering.queries import QueryFile, Wanted, look
from yofo_mlx.answering.summary import Summary
from yofo_mlx.commands import given
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.errors import DataError, ExitCode, Mistakes, RecipeError, YofoError
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.demonstrations import Parsed, Style
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.inprocess import InProcess
from yofo_mlx.prompting.session import out_of_memory
from yofo_mlx.recipe.ways import Way
from yofo_mlx.runs.events import finite
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import say, say_again
from yofo_mlx.system.text import json_line, printable, shorten


@dataclass(frozen=True)
class Asked(given.Answerer):
    """Who answers rows of a file, and how demonstrations are chosen for them."""

    instruction: str = ""
    way: Way = "balanced"
    block: int | None = None
    blocks_share: float | None = None


@dataclass(frozen=True)
class Files:
    """Where the queries are, and where the answers go."""

    data: str
    out: Path
    input: str | None = None
    output: str | None = None
    records: str | None = None
    column_prefix: str = "yofo_"
    resume: bool = False


@dataclass(frozen=True)
class Answered:
    """What came of a file."""

    summary: Summary
    asker: Asker


MakeAsker = Callable[[InProcess, Chatroom, Style], Asker]


def answer_file(
    asked: Asked,
    files: Files,
    columns: Sequence[str],
    make: MakeAsker,
    settings: Mapping[str, Any],
    mistakes: Mistakes,
) -> Answered | None:
    """Answer a file of queries; None where that is done already.

    What can be wrong is told before a model is loaded, with what is noted as `mistakes`.
    `settings` are what else the answers depend on.
    """
    is_done = False
    with mistakes.noted():
        is_done = job.is_done(files.out, resume=files.resume)
    if is_done:
        mistakes.tell()
        say(f"{files.out} is finished already")
        return None
    who, style, table, parsed = _checked(asked, files, columns, mistakes)
    with InProcess() as session:
        room = Chatroom(session, who, given.argument(asked.instruction).strip(), style=style)
        room.wanted, room.seed, room.way = asked.shots, asked.seed, asked.way
        room.block, room.blocks_share = asked.block, asked.blocks_share
        room.open()
        room.take_named(asked.demos, parsed)
        if not asked.demos:
            room.show([])
        shared = min(table.systems) if len(table.systems) == 1 else ""
        if shared not in room.instruction:
            words = f"{shorten(shared, 60)!r} stands with every row, and is not asked with"
            say(f"warning: {words}; `--instruction TEXT` puts it before them")
        try:
            asker = make(session, room, style)
            rows = [[one.input, one.output] for one in room.examples]
            way = [asked.way, asked.shots, asked.seed, asked.block, asked.blocks_share]
            chosen = {"way of choosing": [*way, rows]}
            depends = _depends(session, table, {**settings, **chosen})
            at_once = BLOCKS_AHEAD if asker.blocks else ROWS_AHEAD
            what = job.Job(table, files.out, asker, depends, files.column_prefix, at_once)
            return Answered(job.run(what), asker)
        except KeyboardInterrupt:
            say_again(*([] if files.resume else ["--resume"]))
            raise
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, YofoError) or (refusal := out_of_memory(error)) is None:
                raise
            raise refusal from error


def _checked(
    asked: Asked, files: Files, columns: Sequence[str], mistakes: Mistakes
) -> tuple[Model, Style, QueryFile, Parsed | None]:
    """Return who answers and what is read, or tell every mistake there is."""
    with mistakes.noted():
        is_chosen = (asked.shots, asked.seed, asked.way) != given.UNCHOSEN
        given.check_caches(asked.demos, is_chosen=is_chosen)
    with mistakes.noted():
        given.check_way(asked.way, asked.shots, asked.block, asked.blocks_share)
    who: Model | None = None
    with mistakes.noted():
        who = asked.held()
    if who is None:  # what a run was trained on says how its files are read
        mistakes.tell()
    assert who is not None
    style = demonstrations.style_of(who.run)
    table, parsed = None, None
    with mistakes.noted():
        table = _table(files, style, columns)
    with mistakes.noted():
        columned = replace(style, input=files.input, output=files.output)
        parsed = _demonstrations(asked.demos, columned)
    mistakes.tell()
    assert table is not None
    for remark in table.remarks:
        say(remark.in_full())
    answers = f", answers in `{table.columns.output}`" if table.has_answers else ""
    say(f"{plural(table.count, 'row')}, queries in `{table.columns.input}`{answers}")
    return who, style, table, parsed


def show(answered: Answered, files: Files, more: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    """Print what came of it; rows that failed are the exit code's business."""
    summary, out = answered.summary, printable(str(files.out))
    if as_json:
        content = summary.content() | {"out": str(files.out)} | dict(more)
        print(json_line(finite(content)))
    else:
        print("\n".join(map(printable, summary.lines())))
    say(f"written: {out}")
    if summary.failed:
        told = f"column `{files.column_prefix}error` says why"
        say(f"{plural(summary.failed, 'row')} of {summary.rows:,} could not be answered: {told}")
        return ExitCode.DATA
    return ExitCode.OK


def _table(files: Files, style: Style, columns: Sequence[str]) -> QueryFile:
    wanted = Wanted(files.input, files.output, files.records, style.tasks)
    table = look(files.data, wanted)
    if files.out.resolve() == table.file.path.resolve():
        raise RecipeError(f"{files.out} is the data themselves", "give another --out")
    names = job.column_names(dict.fromkeys(columns, str), files.column_prefix)
    output.check_columns(table, list(names.values()))
    return table


def _demonstrations(names: Sequence[str], style: Style) -> Parsed | None:
    """Read demonstrations by the columns of the data, or, where they have others, by their own."""
    if style.is_given:
        with suppress(DataError):
            return given.parsed(names, style)
    return given.parsed(names, replace(style, input=None, output=None))


def _depends(session: InProcess, table: QueryFile, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the answers depend on, each thing as a short hash under a user's name for it."""
    prompter = session.prompter
    facts = {
        "model": prompter.fingerprint,
        "demonstrations": prompter.prefix.tokens,
        "columns": [table.columns.input, table.columns.chat],
        **settings,
    }
    return {
        name: hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
        for name, value in facts.items()
    }
