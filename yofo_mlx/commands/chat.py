"""`yofo chat`: answer queries from demonstrations in the context."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from yofo_mlx import runs
from yofo_mlx.commands.chatroom import CACHE_SUFFIX, Model, Room, talk
from yofo_mlx.errors import DataError, ExitCode, YofoError
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.prompting.demonstrations import Parsed, Style
from yofo_mlx.prompting.protocol import Cancelled
from yofo_mlx.text import printable, shorten

_NO_QUERY = {"text": "", "finish": "empty"}
"""What an empty line gives, so that lines stay side by side."""


def chat(
    run: str | None = None,
    *,
    model: str | None = None,
    demos: str | None = None,
    input: str | None = None,
    output: str | None = None,
    records: str | None = None,
    instruction: str = "",
    base: bool = False,
    queries: Sequence[str] = (),
    as_json: bool = False,
) -> ExitCode:
    """Prompt a run, by default the last one; without queries, from the keyboard or from a pipe."""
    wanted = Model(run if run or model else "last", model, use_adapter=not base)
    if wanted.run:
        runs.find(wanted.run)  # mistakes are told before anything is loaded
    known = demonstrations.style_of(wanted.run)
    style = replace(known, input=input, output=output, records=records)
    parsed = _parsed(demos, style) if demos and not demos.endswith(CACHE_SUFFIX) else None
    with SessionClient(echo=_echo if sys.stderr.isatty() else None) as client:
        room = Room(client, wanted, instruction.strip(), style=style)
        room.open()
        if parsed:
            room.take(parsed)
        elif demos:
            room.take_cache(Path(demos))
        if queries or not sys.stdin.isatty():
            return _answer_all(room, queries or _lines(), as_json)
        from yofo_mlx.commands.conversation import Conversation
        from yofo_mlx.commands.keyboard import Keyboard

        Conversation(room, Keyboard()).run()
    return ExitCode.OK


def _parsed(name: str, style: Style) -> Parsed:
    parsed = demonstrations.read(name, style)
    if not parsed.examples:
        why = f": {parsed.problems[0]}" if parsed.problems else ""
        hint = "write lines such as `input -> output`, or say --input and --output"
        raise DataError(f"{shorten(name, 500)} holds no demonstrations{why}", hint)
    return parsed


def _answer_all(room: Room, queries: Iterable[str], as_json: bool) -> ExitCode:
    """Print one line for each query, whatever happens to it, so that lines stay side by side."""
    code = ExitCode.OK
    for number, query in enumerate(queries, start=1):
        try:
            answer: dict[str, Any] = room.answer(query, lambda _: None) if query else _NO_QUERY
        except Cancelled:
            return ExitCode.INTERRUPTED
        except YofoError as error:
            talk(f"error: query {number}: {error.message}\n  {error.hint}")
            answer, code = {"text": "", "error": error.message}, error.exit_code
        if answer.get("finish") == "cancelled":
            return ExitCode.INTERRUPTED
        line = json.dumps({"input": query, **answer}) if as_json else printable(answer["text"])
        print(line, flush=True)
    return code


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
