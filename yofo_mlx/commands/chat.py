"""`yofo chat`: answer queries from demonstrations in the context."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from yofo_mlx.commands import given
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.health_lines import health_lines
from yofo_mlx.errors import Cancelled, DataError, ExitCode, RecipeError, YofoError
from yofo_mlx.prompting import demonstrations, held
from yofo_mlx.prompting.choosing import Shots
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.prompting.held import Result
from yofo_mlx.recipe.ways import Way
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import printable
from yofo_mlx.tasks.reading import jsontext

_NO_QUERY: Result = {"text": "", "finish": "empty"}
"""What an empty line gives, so that lines stay side by side."""


@dataclass(frozen=True)
class Answering:
    """How queries that come as a batch are answered."""

    labels: Sequence[str] = ()
    as_json: bool = False


def chat(
    run: str | None = None,
    *,
    model: str | None = None,
    adapter: str | None = None,
    demos: Sequence[str] = (),
    input: str | None = None,
    output: str | None = None,
    records: str | None = None,
    instruction: str = "",
    base: bool = False,
    beside: Sequence[str] = (),
    make_room: bool = False,
    shots: Shots = None,
    seed: int | None = None,
    way: Way = "balanced",
    block: int | None = None,
    blocks_share: float | None = None,
    labels: Sequence[str] = (),
    max_tokens: int | None = None,
    queries: Sequence[str] = (),
    health: bool = False,
    as_json: bool = False,
    keeps: bool = True,
    kv_bits: int | None = None,
) -> ExitCode:
    """Prompt a run, by default the last one; without queries, from the keyboard or from a pipe.

    `health`: print that of the demonstrations and leave.
    """
    named = given.model_of(run, model, adapter, base=base)
    wanted = replace(named, beside=tuple(map(held.beside, beside)), make_room=make_room)
    (_check_health if health else _check_demos)(demos, queries)
    given.check_caches(demos, is_chosen=(shots, seed, way) != given.UNCHOSEN)
    given.check_way(way, shots, block, blocks_share)
    style = demonstrations.style_of(wanted.run)
    style = replace(style, input=input, output=output, records=records)
    parsed = given.parsed(demos, style)
    queries, instruction = list(map(given.argument, queries)), given.argument(instruction)
    labels = given.labels_of(labels)
    with SessionClient(echo=_echo if sys.stderr.isatty() else None) as client:
        room = Chatroom(client, wanted, instruction.strip(), style=style)
        room.wanted, room.seed, room.max_tokens = shots, seed, max_tokens
        room.way, room.block, room.blocks_share = way, block, blocks_share
        room.keeps, room.kv_bits = keeps, kv_bits
        room.open()
        is_batch = bool(queries) or health or not sys.stdin.isatty()
        with nullcontext() if is_batch else _told():
            room.take_named(demos, parsed)
        if health:
            return _tell_health(room, as_json)
        if is_batch:
            return _answer_all(room, queries or _lines(), Answering(labels, as_json))
        _converse(room, labels)
    return ExitCode.OK


def _check_demos(names: Sequence[str], queries: Sequence[str]) -> None:
    if "-" in names and not queries:
        wrong = "`--demos -` reads demonstrations from standard input, so no query can come from it"
        raise RecipeError(wrong, "ask with `--query TEXT`, or put the demonstrations into a file")


def _check_health(demos: Sequence[str], queries: Sequence[str]) -> None:
    if queries:
        raise RecipeError("--health asks nothing", "leave --query out")
    if not demos:
        raise RecipeError("--health looks at demonstrations", "give some: --demos FILE")


def _converse(room: Chatroom, labels: Sequence[str]) -> None:
    from yofo_mlx.commands.conversation import Conversation
    from yofo_mlx.commands.keyboard import Keyboard

    Conversation(room, Keyboard(), labels).run()


@contextmanager
def _told() -> Iterator[None]:
    """Tell that a reading was stopped, and go on to the prompt with what is read."""
    try:
        yield
    except Cancelled as error:
        say(f"{error.message}: {error.hint}")


def _answer_all(room: Chatroom, queries: Iterable[str], how: Answering) -> ExitCode:
    """Print one line for each query, whatever happens to it, so that lines stay side by side."""
    code = ExitCode.OK
    for number, line in enumerate(queries, start=1):
        query = line
        try:
            query = _query(line) if how.as_json else line
            answer = _answer(room, query, how.labels) if query else _NO_QUERY
        except Cancelled:
            return ExitCode.INTERRUPTED
        except YofoError as error:
            say(f"error: query {number}: {error.message}\n  {error.hint}")
            answer, code = {"text": "", "error": error.message}, error.exit_code
        each = list(answer.get("answers", {"": answer}).values())
        if any(one.get("finish") == "cancelled" for one in each):
            return ExitCode.INTERRUPTED
        answered = {"input": query, **answer}
        print(json.dumps(answered) if how.as_json else _columns(each, room), flush=True)
    return code


def _columns(answers: Sequence[Result], room: Chatroom) -> str:
    """Return the answers of those side by side as the columns of a line."""
    missing = len(room.model.beside) + 1 - len(answers)
    return "\t".join(printable(one["text"]) for one in answers) + "\t" * missing


def _tell_health(room: Chatroom, as_json: bool) -> ExitCode:
    found = room.health()
    if as_json:
        print(json.dumps(found))
    else:
        for line in health_lines(found):
            print(printable(line))
    return ExitCode.OK


def _query(line: str) -> str:
    """Return the query in a line: the `input` of a JSON object that has one, or the line itself."""
    if not line.startswith("{"):
        return line
    try:
        row = jsontext.parse(line)
    except jsontext.JsonError:
        return line
    if not isinstance(row, dict) or "input" not in row:
        return line
    if not isinstance(row["input"], str):
        raise DataError("`input` is no text", 'write {"input": "..."}')
    return row["input"].strip()


def _answer(room: Chatroom, query: str, labels: Sequence[str]) -> Result:
    if not labels:
        return room.answer(query, lambda _: None)
    result = room.scores(query, labels)
    answers = {name: _likeliest(one) for name, one in result.get("answers", {}).items()}
    return _likeliest(result) | ({"answers": answers} if answers else {})


def _likeliest(result: Result) -> Result:
    return {"text": result["scores"][0]["label"], "scores": result["scores"], "finish": "end"}


def _lines() -> Iterable[str]:
    """Yield the lines of a pipe, which are UTF-8 whatever the terminal's encoding is.

    A byte that is not becomes half a character, which the query is then refused for.
    """
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "surrogateescape").removeprefix("\ufeff").strip()


def _echo(text: str) -> None:
    """Pass on what the session says, such as the progress of a download."""
    sys.stderr.write(printable(text, keep="\n\r\t"))
    sys.stderr.flush()
