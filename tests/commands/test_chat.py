"""`yofo chat`: at the keyboard, from a pipe, with a session that dies."""

import errno
import io
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.prompting.test_client import STAND_IN
from yofo_mlx.commands import chat as command
from yofo_mlx.commands import given
from yofo_mlx.commands.chatroom import Chatroom, interrupt_cancels
from yofo_mlx.commands.conversation import Conversation, Leave
from yofo_mlx.commands.keyboard import Keyboard
from yofo_mlx.errors import Cancelled, DataError, ExitCode, FitError, RecipeError, RunError
from yofo_mlx.models.base import model_path
from yofo_mlx.prompting.choosing import shots_of
from yofo_mlx.prompting.client import OnNote, SessionClient
from yofo_mlx.prompting.demonstrations import parse
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.protocol import Params
from yofo_mlx.tasks.task import Example


class FakeClient:
    """A session that echoes the query and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Params]] = []
        self.is_alive = True
        self.fails: dict[str, Exception] = {}
        self.room = 100  # demonstrations that fit
        self.seconds = 0.0  # that a reading takes
        self.stops = False  # the next reading, in its midst

    def call(self, method: str, params: Params | None = None, on_note: OnNote | None = None) -> Any:
        self.calls.append((method, dict(params or {})))
        if error := self.fails.pop(method, None):
            self.is_alive = not (isinstance(error, RunError) and "ended" in str(error))
            raise error
        return getattr(self, f"_{method}")(params or {}, on_note)

    def asked(self, method: str) -> list[Params]:
        return [params for name, params in self.calls if name == method]

    def restart(self) -> None:
        self.is_alive = True

    def cancel(self) -> None: ...

    def _load(self, params: Params, _: Any) -> Any:
        adapter = "adapter" if params["use_adapter"] else None
        return {"model": "m", "adapter": adapter, "run_id": None, "style": "plain", "context": 9}

    def _prefill(self, params: Params, on_note: OnNote | None) -> Any:
        offered = len(params["demonstrations"])
        shots = min(self.room, offered)
        chosen = {"shots": shots, "chosen": list(range(shots)), "told": [f"chose {shots}"]}
        chosen |= {"bound": "trained", "reasons": {"unused": offered - shots}, "reused_tokens": 0}
        if on_note:
            on_note("chosen", chosen)
            on_note("progress", {"done": 16, "total": 5 * shots})
            on_note("progress", {"done": 99, "total": 5 * shots, "seconds_left": self.seconds})
        if self.stops:
            self.stops = False
            raise Cancelled("prefill was cancelled")
        return {**chosen, "tokens": 5 * shots, "seconds": 0.0, "note": ""}

    def _generate(self, params: Params, on_note: OnNote | None) -> Any:
        text = f"answer to {params['input']}\x1b[2J"
        if on_note:
            for piece in (text[:3], text[3:]):
                on_note("token", {"id": 1, "text": piece})
        return {"text": text, "tokens": 2, "tokens_per_s": 1.0, "finish": "end", "note": ""}

    def _score(self, params: Params, _: Any) -> Any:
        return {"scores": [{"label": label, "logprob": -1.0} for label in params["labels"]]}

    def _save_cache(self, params: Params, _: Any) -> Any:
        return {"path": params["path"]}

    def _load_cache(self, params: Params, _: Any) -> Any:
        pairs = [{"input": "a", "output": "b"}]
        return self._prefill({"demonstrations": pairs}, None) | {
            "demonstrations": pairs,
            "instruction": "Do.",
        }

    def _stats(self, _: Params, __: Any) -> Any:
        memory = dict.fromkeys(("active_gb", "cache_gb", "peak_gb"), 0.5)
        return {**memory, "context_tokens": 5, "shots": 1, "shots_read": 1}


class Typed:
    """A keyboard on which these things are entered."""

    def __init__(self, *entered: str | type[BaseException]) -> None:
        self._entered = iter(entered)

    def read(self, prompt: str) -> str:
        entered = next(self._entered, EOFError)
        if isinstance(entered, str):
            return entered
        raise entered

    def read_until(self, end: str, prompt: str) -> str:
        lines = []
        while (line := str(next(self._entered))) != end:
            lines.append(line)
        return "\n".join(lines)


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def enter(client: FakeClient) -> Callable[..., Chatroom]:
    """Enter things into a conversation and return the room it leaves."""

    def run(*entered: str | type[BaseException]) -> Chatroom:
        room = Chatroom(client, Model(run="last"))  # type: ignore[arg-type]
        room.open()
        Conversation(room, Typed(*entered)).run()  # type: ignore[arg-type]
        return room

    return run


def test_a_line_is_a_query_and_its_answer_is_made_harmless(
    enter: Callable[..., Chatroom], capsys: pytest.CaptureFixture[str]
) -> None:
    enter("hello", "", "  ", "  /etc is a folder", "/usr/bin too")
    out = capsys.readouterr().out
    assert out.startswith("answer to hello\\x1b[2J\n")
    assert "answer to /etc is a folder" in out
    assert "answer to /usr/bin too" in out


def test_pasted_demonstrations_go_into_the_context(
    enter: Callable[..., Chatroom], client: FakeClient
) -> None:
    pasted = ("/paste", "Input: g", "Output: h", "/end")
    room = enter("a -> b\nc -> d", "/add e -> f", *pasted, "query")
    assert room.examples == [Example(*pair) for pair in ("ab", "cd", "ef", "gh")]
    assert [len(params["demonstrations"]) for params in client.asked("prefill")] == [2, 3, 4]
    assert client.asked("generate") == [{"input": "query"}]


def test_several_pasted_lines_without_demonstrations_are_one_query(
    enter: Callable[..., Chatroom], client: FakeClient
) -> None:
    enter("what about\nthis and\n\nthat?", "a poem ->\nwith an arrow\nin it\nonce")
    assert client.asked("generate")[0] == {"input": "what about\nthis and\n\nthat?"}
    assert len(client.asked("generate")) == 2


def test_demonstrations_are_dropped_listed_and_added(
    enter: Callable[..., Chatroom], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.csv").write_text("text,label\nx\x1b[31m,y\nz\n")
    room = enter("a -> b\nc -> d\ne -> f", "/drop 2", "/drop 9", "/drop x", "/shots")
    assert room.examples == [Example("a", "b"), Example("e", "f")]
    shown = capsys.readouterr().err
    assert "2 e -> f" in shown
    assert shown.count("there are 2 demonstrations") == 2
    room = enter("a -> b\nc -> d", f"/demos {tmp_path}/d.csv", "/shots", "/demos nowhere")
    assert room.examples == [Example("a", "b"), Example("c", "d"), Example("x\x1b[31m", "y")]
    shown = capsys.readouterr().err
    assert "d.csv:3: 1 field" in shown
    assert "\x1b" not in shown
    assert enter("a -> b\nc -> d", "/drop all").examples == []


def test_the_prompt_says_how_many_demonstrations_are_in_the_context(client: FakeClient) -> None:
    prompts: list[str] = []

    class Watched(Typed):
        def read(self, prompt: str) -> str:
            prompts.append(prompt)
            return super().read(prompt)

    client.room = 2
    room = Chatroom(client, Model(run="last"))  # type: ignore[arg-type]
    room.open()
    typed = Watched("a -> b\nc -> d", "/add e -> f", "/drop 1")
    Conversation(room, typed).run()  # type: ignore[arg-type]
    shown = ["[0 shots] > ", "[2 shots] > ", "[2 of 3 shots] > ", "[2 shots] > "]
    assert prompts == shown


def test_a_query_that_is_not_text_is_told_at_the_keyboard(
    enter: Callable[..., Chatroom], client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    enter("sch\udcf6n", "fine")
    assert "not UTF-8 (byte 0xf6)" in capsys.readouterr().err
    assert client.asked("generate") == [{"input": "fine"}]


def test_labels_rank_answers(
    enter: Callable[..., Chatroom], client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    enter("/label yes| no |", "q", "/label", "free", "/label yes|no")
    assert [params["input"] for params in client.asked("score")] == ["q", "free"]
    assert client.asked("score")[0]["labels"] == ["yes", "no"]
    assert [params["input"] for params in client.asked("generate")] == ["free"]
    captured = capsys.readouterr()
    assert "yes" in captured.out
    assert captured.err.count("the last query once more: free\n") == 1


def test_the_adapter_is_switched_off_and_the_demonstrations_read_again(
    enter: Callable[..., Chatroom], client: FakeClient
) -> None:
    enter("/add a -> b", "/base", "q", "/base")
    assert [params["use_adapter"] for params in client.asked("load")] == [True, False, True]
    assert [len(params["demonstrations"]) for params in client.asked("prefill")] == [1, 1, 1]


def test_a_prompt_cache_is_saved_and_taken_back(
    enter: Callable[..., Chatroom], client: FakeClient, tmp_path: Path, yofo_home: Path
) -> None:
    file = f"{tmp_path}/x.safetensors"
    room = enter("/save", f"/save {file}", f"/demos {file}", "q")
    paths = [params["path"] for params in client.asked("save_cache")]
    assert paths == [f"{yofo_home}/prompts/last.safetensors", file]
    assert (room.examples, room.instruction) == ([Example("a", "b")], "Do.")
    assert not any(params["demonstrations"] for params in client.asked("prefill"))


def test_the_other_words_answer_too(
    enter: Callable[..., Chatroom], client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    room = enter("/help ", "/stats", "/nonsense", "/instruction Be brief.", "/demos", "/quit", "q")
    shown = capsys.readouterr().err
    assert "/paste" in shown
    assert "0.50 GB in use" in shown
    assert "no such word" in shown
    assert room.instruction == client.asked("prefill")[-1]["instruction"] == "Be brief."
    assert not client.asked("generate")


def test_a_dead_session_is_started_again_with_the_demonstrations(
    enter: Callable[..., Chatroom], client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.fails["generate"] = RunError("the session process ended: killed by SIGKILL", "less")
    enter("a -> b\nc -> d", "first", "second")
    assert "killed by SIGKILL" in capsys.readouterr().err
    methods = [method for method, _ in client.calls]
    assert methods == ["load", "prefill", "generate", "load", "prefill", "generate"]
    assert len(client.asked("prefill")[-1]["demonstrations"]) == 2


@pytest.mark.long
def test_after_a_death_the_same_demonstrations_are_shown_and_ones_own_are_not_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with SessionClient() as client:
        room = Chatroom(client, Model(model="tiny"), examples=[], wanted=3)
        room.open()
        room.show([Example("mine", "first")])
        room.show([*room.examples, *(Example(f"row {n}", f"label {n % 9}") for n in range(90))])
        before = list(room.shown)
        assert before[0] == Example("mine", "first") and len(before) == 3
        os.kill(client.pid or 0, signal.SIGKILL)
        while client.ended is None:
            time.sleep(0.01)
        room.take_paste(parse("late -> last"))
        assert "warning: the session process ended: killed by SIGKILL" in capsys.readouterr().err
        assert room.shown == [*before, Example("late", "last")]


@pytest.mark.parametrize("error", [Cancelled("stopped"), FitError("too long", "shorten")])
def test_demonstrations_that_were_not_read_are_never_silently_missing(
    enter: Callable[..., Chatroom], client: FakeClient, error: Exception
) -> None:
    client.fails["prefill"] = error
    enter("a -> b\nc -> d", "q")
    methods = [method for method, _ in client.calls if method != "stats"]
    assert methods == ["load", "prefill", "prefill", "generate"]


def test_a_reading_that_is_stopped_leaves_what_was_read(
    enter: Callable[..., Chatroom], client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.stops = True
    room = enter("a -> b\nc -> d", "q")
    assert [params.get("shots") for params in client.asked("prefill")] == [None, 1]
    assert len(room.examples) == 2
    assert "reading is stopped, after 1 of 2\n  `/shots N` reads on" in capsys.readouterr().err


def test_a_reading_of_an_instruction_alone_that_is_stopped_asks_for_no_number(
    enter: Callable[..., Chatroom], client: FakeClient
) -> None:
    client.stops = True
    assert enter("/instruction Be brief.").wanted is None


def test_how_many_are_shown_can_be_asked_for_and_only_those_are_listed_and_dropped(
    enter: Callable[..., Chatroom], client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.room = 2
    pasted = "a -> b\nc -> d\ne -> f"
    room = enter(pasted, "/shots", "/shots 7", "/shots all", "/shots many", "/drop 3", "/drop 1")
    assert [params.get("shots") for params in client.asked("prefill")] == [None, 7, "all", "all"]
    assert room.examples == [Example("c", "d"), Example("e", "f")]
    shown = capsys.readouterr().err
    assert "chose 2\n  `/shots N` or `/shots all` shows more" in shown
    assert "   2 c -> d\n" in shown and "e -> f" not in shown
    assert "there are 2 demonstrations" in shown


def test_a_terminal_that_moves_no_cursor_is_sent_no_escape_sequences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readline = pytest.importorskip("readline")
    bound: list[str] = []
    monkeypatch.setattr(readline, "parse_and_bind", bound.append)
    monkeypatch.setattr(readline, "__doc__", "GNU readline")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for term, there in (("xterm", ["set enable-bracketed-paste on"]), ("dumb", [])):
        bound.clear()
        monkeypatch.setenv("TERM", term)
        Keyboard()
        assert bound == there


@pytest.mark.parametrize("locale", ["ascii", "utf-8"])
def test_words_of_the_command_line_are_utf8_in_every_locale(
    monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode(locale, "surrogateescape"))
    word = "größe".encode().decode(locale, "surrogateescape")
    assert given.argument(word) == "größe"
    assert given.argument("gr\udcf6n") == "gr\udcf6n"


def test_a_number_of_any_length_is_one(enter: Callable[..., Chatroom], client: FakeClient) -> None:
    enter("/add a -> b", "/drop " + 5000 * "9", "/shots " + 5000 * "9", "/shots 1" + 5000 * "0")
    [added, *asked] = client.asked("prefill")
    assert "shots" not in added and [one["shots"] > 10**9 for one in asked] == [True, True]
    assert shots_of("007") == 7 and shots_of("all") == "all" and shots_of("-1") is None


def test_answers_are_given_also_where_there_is_no_room_for_talk(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys.stderr, "write", refuse)
    room = Chatroom(client, Model(run="last"))  # type: ignore[arg-type]
    room.open()
    room.take(parse("a -> b"))
    assert room.answer("q", lambda _: None)["text"].startswith("answer to q")


def test_what_is_pasted_comes_on_top_of_a_number_that_was_asked_for(
    enter: Callable[..., Chatroom], client: FakeClient, tmp_path: Path
) -> None:
    (tmp_path / "d.txt").write_text("\n".join(f"{n} -> x" for n in range(9)))
    pasted = "a -> b\nc -> d\ne -> f\ng -> h"
    enter("/shots 2", "/add x -> y", pasted, f"/demos {tmp_path}/d.txt", "/shots 0", "/add z -> z")
    asked = [params["shots"] for params in client.asked("prefill")]
    assert asked == [2, 3, 6, 6, 0, 1]


def test_how_long_the_reading_takes_is_told_once_and_only_if_it_takes_long(
    enter: Callable[..., Chatroom], client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    enter("a -> b\nc -> d")
    assert "reading" not in capsys.readouterr().err
    client.seconds = 20
    enter("a -> b\nc -> d")
    assert capsys.readouterr().err.count("reading 10 tokens (2 shots), about 20 s\n") == 1


def test_each_file_keeps_what_stands_before_its_rows(
    enter: Callable[..., Chatroom], client: FakeClient, tmp_path: Path
) -> None:
    def row(system: str, text: str) -> str:
        said = [("system", system), ("user", text), ("assistant", "yes")]
        return json.dumps({"messages": [{"role": role, "content": it} for role, it in said]})

    files = [tmp_path / f"{name}.jsonl" for name in "ab"]
    for file, system in zip(files, ("Be A.", "Be B."), strict=True):
        file.write_text(f"{row(system, 'x')}\n{row(system, 'y')}\n")
    room = enter(f"/demos {files[0]}", f"/demos {files[1]}", f"/demos {files[0]}")
    assert room.instruction == "Be A."
    inputs = ["x", "y", "Be B.\n\nx", "Be B.\n\ny", "x", "y"]
    assert [example.input for example in room.examples] == inputs
    room = enter("/instruction Be mine.", f"/demos {files[0]}")
    assert (room.instruction, room.examples[0].input) == ("Be mine.", "x")


def test_a_model_that_cannot_be_switched_stays(
    enter: Callable[..., Chatroom], client: FakeClient
) -> None:
    room = Chatroom(client, Model(run="last"))  # type: ignore[arg-type]
    room.open()
    client.fails["load"] = RunError("no")
    Conversation(room, Typed("/base", "q")).run()  # type: ignore[arg-type]
    assert room.model.use_adapter
    room.model = Model(model="m")
    Conversation(room, Typed("/base")).run()  # type: ignore[arg-type]
    assert len(client.asked("load")) == 3  # the third because "q" found no model


def test_ctrl_c_twice_or_the_end_of_input_leaves(
    enter: Callable[..., Chatroom], client: FakeClient
) -> None:
    enter(KeyboardInterrupt, "q", KeyboardInterrupt, KeyboardInterrupt, "never")
    assert client.asked("generate") == [{"input": "q"}]
    enter(EOFError, "never")
    enter(Leave, "never")
    assert len(client.asked("generate")) == 1


def test_ctrl_c_cancels_the_call_and_is_itself_again_afterwards() -> None:
    with SessionClient([sys.executable, "-c", STAND_IN]) as client:
        client.call("echo")
        presses = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(Cancelled), interrupt_cancels(client):
            presses.start()
            client.call("wait")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def run_chat(
    monkeypatch: pytest.MonkeyPatch, piped: bytes = b"", encoding: str = "utf-8", **options: Any
) -> ExitCode:
    stream = io.TextIOWrapper(io.BytesIO(piped), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdin", stream)
    return command.chat(model="tiny", **options)


def test_queries_are_answered_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "d.txt").write_text("horse cow -> Anna\nplum pear -> Tom\n")
    queries = ["cow", "pear " * 2000, "plum"]
    code = run_chat(monkeypatch, demos=[str(tmp_path / "d.txt")], queries=queries, as_json=True)
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines()]
    assert [answer["input"] for answer in answers] == queries
    assert "do not fit" in answers[1]["error"]
    assert answers[2]["tokens"] > 0
    assert "2 demonstrations read as lines with `->`" in captured.err
    assert code == ExitCode.WONT_FIT


def test_piped_lines_are_queries(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SessionClient", lambda echo: nullcontext(client))
    assert run_chat(monkeypatch, b"cow\n\n/paste\n") == ExitCode.OK
    assert capsys.readouterr().out == "answer to cow\\x1b[2J\n\nanswer to /paste\\x1b[2J\n"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_batch_of_lines_gives_as_many_lines_whatever_is_in_them(
    client: FakeClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    encoding: str,
    end: bytes,
) -> None:
    monkeypatch.setattr(command, "SessionClient", lambda echo: nullcontext(client))
    lines = [
        b"\xef\xbb\xbfone",
        b"caf\xe9",
        b"",
        b" \t",
        b"a\x0bb\xe2\x80\xa8c",
        "café".encode(),
        b"\0",
    ]
    code = run_chat(monkeypatch, end.join(lines), encoding)
    captured = capsys.readouterr()
    answers = captured.out.split("\n")[:-1]
    assert len(answers) == len(lines) and code == ExitCode.DATA
    assert [bool(answer) for answer in answers] == [True, False, False, False, True, True, False]
    assert "query 2: the query is not UTF-8 (byte 0xe9)" in captured.err
    assert "query 7: the query holds zero bytes, as UTF-16 does" in captured.err
    asked = [params["input"] for params in client.asked("generate")]
    assert asked == ["one", "a\x0bb\u2028c", "café"]


def test_a_batch_as_json_says_of_each_line_what_became_of_it(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SessionClient", lambda echo: nullcontext(client))
    client.fails["generate"] = FitError("too long", "shorten")
    code = run_chat(monkeypatch, b"long\n\xff\n\nlast", as_json=True)
    long, odd, empty, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert (long["error"], odd["error"]) == ("too long", "the query is not UTF-8 (byte 0xff)")
    assert (empty["text"], empty["finish"]) == ("", "empty")
    assert last["text"].startswith("answer to last") and code == ExitCode.DATA


def test_json_lines_with_an_input_are_queries_of_any_number_of_lines(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SessionClient", lambda echo: nullcontext(client))
    lines = [b'{"input": "a\\nb"}', b'{"input": 3}', b'{"level": 1}', b"{name}", b'{"input": ""}']
    code = run_chat(monkeypatch, b"\n".join(lines), as_json=True)
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["input"] for answer in answers] == [
        "a\nb",
        '{"input": 3}',
        '{"level": 1}',
        "{name}",
        "",
    ]
    assert answers[1]["error"] == "`input` is no text" and code == ExitCode.DATA
    assert answers[4]["finish"] == "empty"
    run_chat(monkeypatch, lines[0])
    assert client.asked("generate")[-1] == {"input": lines[0].decode()}


def test_a_batch_is_answered_with_labels_and_within_a_length(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SessionClient", lambda echo: nullcontext(client))
    assert run_chat(monkeypatch, b"cow\n\n", labels=["yes | no", "perhaps"]) == ExitCode.OK
    assert capsys.readouterr().out == "yes\n\n"
    assert client.asked("score") == [{"input": "cow", "labels": ["yes", "no", "perhaps"]}]
    run_chat(monkeypatch, b"cow\n", max_tokens=3)
    assert client.asked("generate") == [{"input": "cow", "max_tokens": 3}]


def test_demonstrations_of_several_sources_are_put_together(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "SessionClient", lambda echo: nullcontext(client))
    (tmp_path / "a.csv").write_text("text,label\nx,y\n")
    (tmp_path / "b.csv").write_text("question,answer\nq,r\n")
    names = [f"{tmp_path}/a.csv", "-", f"{tmp_path}/b.csv"]
    run_chat(monkeypatch, b"c -> d\n", demos=names, queries=["?"], shots=2, seed=7)
    [asked] = client.asked("prefill")
    assert (asked["shots"], asked["seed"]) == (2, 7)
    pairs = [(one["input"], one["output"]) for one in asked["demonstrations"]]
    assert pairs == [("x", "y"), ("c", "d"), ("q", "r")]


def test_a_cancelled_answer_ends_a_pipe(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SessionClient", lambda echo: nullcontext(client))
    client.fails["generate"] = Cancelled("stopped")
    assert run_chat(monkeypatch, b"cow\npig\n") == ExitCode.INTERRUPTED
    assert capsys.readouterr().out == ""


def test_mistakes_are_told_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(command, "SessionClient")
    (tmp_path / "d.txt").write_text("no arrows here\n")
    with pytest.raises(DataError, match="no demonstrations"):
        run_chat(monkeypatch, demos=[str(tmp_path / "d.txt")], queries=["x"])
    with pytest.raises(RecipeError, match="no run"):
        command.chat(queries=["x"])
    with pytest.raises(RecipeError, match="no query can come from it"):
        run_chat(monkeypatch, b"a -> b\n", demos=["-"])
    with pytest.raises(DataError, match="standard input is not UTF-8"):
        run_chat(monkeypatch, b"a\xff -> b\n", demos=["-"], queries=["x"])
    with pytest.raises(DataError, match="standard input holds no demonstrations"):
        run_chat(monkeypatch, b"", demos=["-"], queries=["x"])
    with pytest.raises(RecipeError, match="as it stands"):
        run_chat(monkeypatch, demos=["x.safetensors"], shots=5, queries=["x"])
    with pytest.raises(RecipeError, match="stands alone"):
        run_chat(monkeypatch, demos=["x.safetensors", str(tmp_path / "d.txt")], queries=["x"])


def _on_its_terminal() -> None:
    os.close(os.open(os.ttyname(0), os.O_RDWR))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs the tests may have it ignored


class Terminal:
    """`yofo chat` on a terminal of its own."""

    def __init__(self, home: Path, **options: Any) -> None:
        options = {"model": "tiny", **options}
        script = f"from yofo_mlx.commands.chat import chat; chat(**{options!r})"
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "YOFO_HOME": str(home)},
            start_new_session=True,
            preexec_fn=_on_its_terminal,
        )
        os.close(slave)
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self, words: str) -> None:
        """Press Ctrl-C until these words come: just before the wait for a key it goes unnoticed."""
        self.type("\x03")
        while words not in self._seen:
            if select.select([self.master], [], [], 5.0)[0]:
                self._seen += os.read(self.master, 65536).decode("utf-8", "replace")
            else:
                self.type("\x03")
        self.wait_for(words)

    def wait_for(self, words: str) -> str:
        """Return what is on the screen once these words are."""
        end = time.monotonic() + 120
        while words not in self._seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {words!r} in {self._seen!r}"
            self._seen += os.read(self.master, 65536).decode("utf-8", "replace")
        before, _, self._seen = self._seen.partition(words)
        return before + words


def test_on_a_terminal_a_paste_is_not_cut_and_ctrl_c_stops_the_answer(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.wait_for("[0 shots] > ")
    terminal.type("\x1b[200~horse cow -> Anna\nplum pear -> Tom\ngoat pig -> Anna\x1b[201~\r")
    terminal.wait_for("3 demonstrations in the context")
    terminal.wait_for("[3 shots] > ")
    terminal.type("/paste\rlime lemon -> Tom\rdog cat -> Anna\r/end\r")
    terminal.wait_for("5 demonstrations in the context")
    terminal.wait_for("[5 shots] > ")
    terminal.type("cow\r")
    terminal.wait_for("tokens, ")
    terminal.wait_for("[5 shots] > ")
    terminal.interrupt("leaves")
    terminal.wait_for("[5 shots] > ")  # what is typed before the prompt stands may be dropped
    terminal.type("\x04")
    assert terminal.process.wait(60) == 0
    os.close(terminal.master)


@pytest.mark.long
def test_ctrl_c_while_a_long_file_is_read_leads_to_the_prompt_with_what_is_read(
    tmp_path: Path,
) -> None:
    model = tmp_path / "tiny"
    shutil.copytree(model_path("tiny"), model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 100_000}))
    rows = "\n".join(f"horse cow {n} -> {('Anna', 'Tom')[n % 2]}" for n in range(1500))
    (tmp_path / "d.txt").write_text(rows)
    options = {"demos": [str(tmp_path / "d.txt")], "shots": "all"}
    terminal = Terminal(tmp_path, **options | {"model": str(model)})
    terminal.wait_for(" tokens (1,500 shots), about ")
    terminal.type("\x03")
    assert " of 1,500: `--shots N` reads on" in terminal.wait_for("reads on")
    terminal.wait_for(" of 1,500 shots] > ")
    terminal.type("\x04")
    assert terminal.process.wait(60) == 0
    os.close(terminal.master)
