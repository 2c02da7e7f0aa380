"""`yofo chat` without a keyboard: queries from a pipe or the command line, answered in order."""

import io
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.commands.chatting import FakeClient, client_fixture  # noqa: F401
from yofo_mlx.commands import chat as command
from yofo_mlx.commands import given
from yofo_mlx.errors import Cancelled, DataError, ExitCode, FitError, RecipeError


@pytest.mark.parametrize("locale", ["ascii", "utf-8"])
def test_words_of_the_command_line_are_utf8_in_every_locale(
    monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode(locale, "surrogateescape"))
    word = "größe".encode().decode(locale, "surrogateescape")
    assert given.argument(word) == "größe"
    assert given.argument("gr\udcf6n") == "gr\udcf6n"


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
