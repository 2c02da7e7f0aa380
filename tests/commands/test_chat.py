"""`yofo chat` at the keyboard: what is entered, and what becomes of it."""

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.chatting import FakeClient, Typed, client_fixture, enter_fixture  # noqa: F401
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.conversation import Conversation, Leave
from yofo_mlx.errors import Cancelled, FitError, RunError
from yofo_mlx.prompting.choosing import shots_of
from yofo_mlx.prompting.demonstrations import parse
from yofo_mlx.prompting.held import Model
from yofo_mlx.tasks.task import Example


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


def test_labels_are_those_of_the_demonstrations_where_none_are_named(
    enter: Callable[..., Chatroom], client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"/add {text} -> {label}" for text, label in zip("abcd", "xyxy", strict=True)]
    enter("/label", "/label one", *rows, "/label", "q", "/label", "free")
    assert [params["labels"] for params in client.asked("score")] == [["x", "y"]]
    assert [params["input"] for params in client.asked("generate")] == ["free"]
    told = capsys.readouterr().err
    assert told.count("there is nothing to choose among: /label a|b|c says the labels") == 2
    assert "answers are one of 2 labels" in told and "answers are free" in told


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
