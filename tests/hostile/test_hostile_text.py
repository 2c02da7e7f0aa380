"""Text from data and models changes nothing on the screen but itself."""

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.commands.chatting import FakeClient, Typed
from tests.fuzzing import HOSTILE_TEXT, check_harmless
from tui.shared.words import one_line, safe
from yofo_mlx import cli
from yofo_mlx.cli import shell
from yofo_mlx.commands import chat as chat_command
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.conversation import Conversation
from yofo_mlx.commands.display import shown_on
from yofo_mlx.errors import DataError
from yofo_mlx.prompting.held import Model
from yofo_mlx.system.talk import say

HOSTILE = [text for text in HOSTILE_TEXT if text.strip() and len(text) < 100 and text != "\ud800"]
MARKUP = [text for text in HOSTILE if "[" in text and text.isascii() and text.isprintable()]
# What a terminal obeys: C0 and C1 controls, escape sequences with what follows them, bidi marks.
OBEYED = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b.?"
    r"|[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> str:
    """Return everything that a command writes to a terminal."""
    monkeypatch.setattr("sys.argv", ["yofo", *map(str, arguments)])
    stream = Terminal()
    with pytest.raises(SystemExit), redirect_stdout(stream), redirect_stderr(stream):
        cli.main()
    return stream.getvalue()


def obeyed(text: str) -> list[str]:
    return OBEYED.findall(text)


def rows(text: str) -> list[dict[str, str]]:
    """Return rows that show a text as input, as label, as a field's name and as a system text."""
    held = {f"{n} {text}": f"in {n} {text}" for n in range(9)}
    return [
        {"input": words, "output": f"{text} label{n % 2}", **held}
        for n, words in enumerate(held.values())
    ]


def data_file(folder: Path, text: str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(text)))
    return path


PLAIN = "harmless"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("verb", [["data", "preview"], ["data", "check"]], ids=" ".join)
def test_a_hostile_row_is_shown_with_the_codes_of_a_harmless_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, verb: list[str]
) -> None:
    expected = on_terminal(monkeypatch, *verb, data_file(tmp_path, PLAIN))
    shown = on_terminal(monkeypatch, *verb, data_file(tmp_path, text))
    # A check has more lines: it tells of control characters.
    assert set(obeyed(shown)) == set(obeyed(expected)) == {"\n"}
    if verb == ["data", "preview"] and text in MARKUP:
        assert text in shown


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("json_row", ['{"%s": 1}', '{"messages": [{"role": "%s", "content": 1}]}'])
def test_a_refusal_shows_hostile_names_harmlessly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, json_row: str
) -> None:
    def refusal(words: str) -> str:
        (tmp_path / "rows.jsonl").write_text(json_row % json.dumps(words)[1:-1])
        (tmp_path / "recipe.toml").write_text(
            'model = "tiny"\ntrain.steps = 1\ntasks = [{source = "rows.jsonl"}]\n'
        )
        return on_terminal(monkeypatch, "train", tmp_path / "recipe.toml")

    shown = refusal(text)
    assert "error: " in shown
    assert obeyed(shown) == obeyed(refusal(PLAIN))


@pytest.mark.parametrize("text", HOSTILE)
def test_an_episode_is_shown_with_the_codes_of_a_harmless_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def shown(words: str) -> str:
        data_file(tmp_path, words)
        (tmp_path / "recipe.toml").write_text(
            'model = "tiny"\ntrain.steps = 1\nepisodes = {max_tokens = 900, draw = "full"}\n'
            f"tasks = [{{source = 'rows.jsonl', name = {json.dumps(words)}}}]\n"
        )
        return on_terminal(monkeypatch, "show", tmp_path / "recipe.toml")

    hostile, plain = shown(text), shown(PLAIN)
    assert "this episode: task" in plain and "this episode: task" in hostile
    colours = {"\x1b[30;42m", "\x1b[2m", "\x1b[0m", "\n", "\t"}
    assert set(obeyed(plain)) <= colours and set(obeyed(hostile)) <= colours
    if text in MARKUP:
        assert text in hostile


class Speaking(FakeClient):
    """A session whose model says what it is told to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def _generate(self, params: Any, on_note: Any) -> Any:
        if on_note:
            for piece in self.text:
                on_note("token", {"id": 1, "text": piece})
        return super()._generate(params, None) | {"text": self.text}

    def _prefill(self, params: Any, on_note: Any) -> Any:
        return super()._prefill(params, on_note) | {"note": self.text}

    def _load(self, params: Any, on_note: Any) -> Any:
        return super()._load(params, on_note) | {"model": self.text, "adapter": self.text}

    def __enter__(self) -> "Speaking":
        return self

    def __exit__(self, *_: object) -> None: ...


def talked(text: str) -> str:
    """Return what a conversation at the keyboard writes."""
    stream = Terminal()
    with redirect_stdout(stream), redirect_stderr(stream):
        room = Chatroom(Speaking(text), Model(run="last"), text)  # type: ignore[arg-type]
        room.open()
        typed = Typed(f"/add {text} -> b", "/shots", f"/label {text}|b", f"q {text}", "/label")
        typed = Typed(*typed._entered, f"q {text}", f"/demos {text}.txt", f"/save {text}")
        Conversation(room, typed).run()  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_conversation_shows_hostile_words_with_the_codes_of_harmless_ones(text: str) -> None:
    drawn = {"\n", "\t", "\r", "\x1b[K"}  # line ends, and the bar while demonstrations are read
    assert set(obeyed(talked(text))) <= drawn
    if text in MARKUP:
        assert text in talked(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_answer_in_a_pipe_is_one_harmless_line(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chat_command, "SessionClient", lambda echo: Speaking(text))
    for as_json in (False, True):
        chat_command.chat(model="tiny", queries=["q"], as_json=as_json)
        line = capsys.readouterr().out
        check_harmless(line.removesuffix("\n"))
        assert not as_json or json.loads(line)["text"] == text


@pytest.mark.parametrize("text", HOSTILE)
def test_errors_and_remarks_are_harmless(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    shell._complain(DataError(text, text))
    say(text)
    chat_command._echo(text)
    check_harmless(capsys.readouterr().err, keep="\n\t\r")


@pytest.mark.parametrize("arguments", [["{}"], ["runs", "--{}"], ["train", "{}"], ["runs", "{}"]])
@pytest.mark.parametrize("text", [text for text in HOSTILE if "\0" not in text])
def test_a_hostile_word_on_the_command_line_is_told_harmlessly(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    filled = [argument.replace("{}", text) for argument in arguments]
    check_harmless(on_terminal(monkeypatch, *filled), keep="\n")


def drawn(text: str) -> str:
    """Return what a live display draws of a run that says a text wherever it says words."""
    stream = Terminal()
    with shown_on(stream) as display:
        for kind in ("warning", "progress", "failed", "stopped"):
            words = {"message": text, "hint": text, "phase": text, "reason": text}
            display.show({"t": 1.0, "kind": kind, "step": 1, "done": 1, "total": 2, **words})
    return stream.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_live_display_draws_hostile_words_with_the_codes_of_harmless_ones(text: str) -> None:
    assert set(obeyed(drawn(text))) <= set(obeyed(drawn(PLAIN)))
    if text in MARKUP:
        assert f"warning: {text}" in drawn(text)


@pytest.mark.parametrize("text", HOSTILE_TEXT)
def test_the_app_takes_foreign_text_as_it_is(text: str) -> None:
    for content, keep in ((safe(text), "\n"), (one_line(text), "")):
        check_harmless(content.plain, keep)
        assert not content.spans  # no markup was read
        assert len(content.plain) <= 2000
    if text in MARKUP:
        assert safe(text).plain == one_line(text).plain == text
