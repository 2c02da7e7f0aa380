"""`--choose` and `/choose` beside what else a user asks for: a clear word, and answers."""

import csv
import errno
import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.chatting import Typed
from tests.prompting.test_sides import LORAS, write_adapter
from yofo_mlx.answering import output
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.conversation import Conversation
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.inprocess import InProcess

PAIRS = [f"{word} {n},{label}" for n in range(3) for word, label in (("cat", "a"), ("dog", "b"))]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demos.csv").write_text("\n".join(["text,label", *PAIRS, ""]))
    Path("data.csv").write_text("text,label\ncat 7,a\ndog 8,b\n,a\ndog 9,b\n")


def answers(path: str, column: str) -> list[str]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return [row[column] for row in csv.DictReader(file)]


FILES = ("--demos", "demos.csv", "--data", "data.csv")


@pytest.mark.parametrize("verb", ["classify", "ask"])
def test_a_file_is_answered_behind_blocks_as_a_chat_is(yofo: Any, verb: str) -> None:
    how = ("--choose", "blocks", "--block", "2", "--blocks-share", "0.7")
    more = ("--max-tokens", "3") if verb == "ask" else ()
    code, _, err = yofo(verb, "tiny", *FILES, "--out", "o.csv", *how, *more)
    assert code == 3, err  # one row has no query
    assert "6 in 3 blocks of at most 2" in err
    found = answers("o.csv", "yofo_answer" if verb == "ask" else "yofo_label")
    assert found[2] == ""
    with InProcess() as session:
        room = Chatroom(session, Model(model="tiny"), max_tokens=3)
        room.way, room.block, room.blocks_share = "blocks", 2, 0.7
        room.take_file("demos.csv")
        for query, answer in (("cat 7", found[0]), ("dog 8", found[1]), ("dog 9", found[3])):
            if verb == "ask":
                assert room.answer(query, lambda _: None)["text"] == answer
            else:
                assert room.scores(query, ["a", "b"])["scores"][0]["label"] == answer


@pytest.mark.parametrize("way", ["similar", "tail", "adaptive", "blocks"])
def test_no_temperature_is_fitted_where_each_query_sees_its_own(yofo: Any, way: str) -> None:
    code, out, err = yofo(
        "classify", "tiny", *FILES, "--out", "o.csv", "--choose", way, "--calibrate", "--json"
    )
    assert code == 3, err
    assert "each query sees demonstrations of its own" in json.loads(out)["calibration"]["reason"]
    if way == "adaptive":
        assert "certain enough" in err and "fitted on 6 demonstrations" in err


def test_a_temperature_is_looked_for_with_what_was_kept_on_disk(yofo: Any) -> None:
    yofo("demos", "add", "pets", "demos.csv")
    asked = ("classify", "tiny", "--demos", "pets", "--data", "data.csv", "--calibrate", "--json")
    found = []
    for name in ("one.csv", "two.csv"):
        code, out, err = yofo(*asked, "--out", name)
        assert code == 3, err
        found.append(json.loads(out)["calibration"])
    assert "(0 reused)" not in err
    assert found[0] == found[1]
    assert "20 are wanted" in found[0]["reason"]


def test_answers_chosen_in_another_way_are_not_gone_on_with(
    yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    asked = ("ask", "tiny", *FILES, "--out", "o.csv", "--max-tokens", "2", "--choose")
    with monkeypatch.context() as patch:
        patch.setattr(output, "write", full)
        assert yofo(*asked, "similar")[0] != 0
    path = Path("o.csv.unfinished")
    kept = path.read_bytes()
    code, _, err = yofo(*asked, "blocks", "--resume")
    assert code == 1
    assert "was begun with other way of choosing\n" in err
    assert path.read_bytes() == kept and not Path("o.csv").exists()
    code, _, err = yofo(*asked, "similar", "--resume")
    assert "4 rows are answered already" in err
    assert len(answers("o.csv", "yofo_answer")) == 4


@pytest.mark.parametrize("option", [("--block", "4"), ("--blocks-share", "0.5")])
@pytest.mark.parametrize("verb", ["chat", "classify", "ask"])
def test_options_of_blocks_without_blocks_are_refused(
    yofo: Any, verb: str, option: tuple[str, str]
) -> None:
    asked = ("--query", "cat") if verb == "chat" else ("--data", "data.csv", "--out", "o.csv")
    code, out, err = yofo(verb, "--model", "tiny", "--demos", "demos.csv", *asked, *option)
    assert (code, out) == (2, "")
    assert f"{option[0]} is about `--choose blocks`" in err


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what a user is told who types some lines, and the room."""

    def type_in(*lines: str) -> tuple[str, Chatroom]:
        with InProcess() as session:
            room = Chatroom(session, Model(model="tiny"), max_tokens=2)
            room.take_file("demos.csv")
            capsys.readouterr()
            Conversation(room, Typed(*lines)).run()  # type: ignore[arg-type]
            captured = capsys.readouterr()
            return captured.err + captured.out, room

    return type_in


@pytest.mark.parametrize("way", ["similar", "blocks"])
def test_what_is_about_demonstrations_that_all_see_is_refused_where_none_are(
    typed: Any, way: str
) -> None:
    told, room = typed(f"/choose {way}", "/health", "/save x.safetensors", "cat 7", "/stats")
    assert told.count("no demonstration is read for all queries") == 2
    assert "/choose" in told
    assert not Path("x.safetensors").exists()
    assert "(2 tokens" in told or "(1 token" in told
    assert room.way == way


def test_what_was_saved_is_taken_as_it_stands(typed: Any) -> None:
    lines = ("/choose tail", "/save t.safetensors", "/demos t.safetensors", "cat 7", "/health")
    told, room = typed(*lines)
    assert "saved in" in told
    assert "no longer chosen by tail" in told
    assert room.way == "balanced"
    assert "nats an answer" in told


def test_a_way_that_cannot_be_is_refused_and_the_one_before_stays(typed: Any) -> None:
    told, room = typed("/choose nonsense", "/beside base", "cat 7")
    assert "one of balanced, all, similar, tail, adaptive, blocks; now it is balanced" in told
    assert "base answers already" in told
    assert room.way == "balanced" and room.model.beside == ()


@pytest.mark.parametrize("way", ["similar", "tail"])
def test_those_side_by_side_see_demonstrations_of_a_query_each(
    typed: Any, tmp_path: Path, way: str
) -> None:
    adapter = write_adapter(tmp_path / "one", LORAS["rank 2, few layers"], 1)
    told, room = typed(f"/choose {way}", f"/beside {adapter}", "cat 7")
    answer = room.model.beside
    assert len(answer) == 1
    assert told.count(" token") >= 2 and "(base: " in told
    assert "error" not in told


def test_blocks_are_of_one_model_and_the_one_before_stays(typed: Any, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "one", LORAS["rank 2, few layers"], 1)
    told, room = typed("/choose blocks", f"/beside {adapter}", "cat 7")
    assert "in blocks are read by one model at a time" in told
    assert room.model.beside == ()
    assert "tokens in blocks read" in told
    told, room = typed(f"/beside {adapter}", "/choose blocks", "cat 7")
    assert "in blocks are read by one model at a time" in told
    assert room.way == "balanced" and len(room.model.beside) == 1
    assert "(base: " in told


def test_ways_are_measured_side_by_side_and_taken_from_what_is_kept(yofo: Any) -> None:
    Path("rows.csv").write_text("\n".join(["text,label", *PAIRS, *PAIRS, "fox 1,a", "owl 2,b", ""]))
    asked = (
        "eval", "--model", "tiny", "--data", "rows.csv", "--choose", "balanced,similar,tail",
        "--set", "evaluation.shots=[1, 2]", "--set", "evaluation.queries=2",
    )  # fmt: skip
    code, out, err = yofo(*asked)
    assert code == 0, err
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert ["shots", "balanced", "similar", "tail", "tasks"] in lines
    assert [line[0] for line in lines[-2:]] == ["1", "2"]
    code, out, err = yofo(*asked, "--json")
    assert code == 0, err
    assert err.count("base: taken from tiny's evaluation") == 3
    ways = json.loads(out)["ways"]
    assert [*ways] == ["balanced", "similar", "tail"]
    assert [one["asked"]["evaluation"]["choose"] for one in ways.values()] == [*ways]
    code, out, err = yofo("eval", "--model", "tiny", "--data", "rows.csv", "--choose", "blocks,no")
    assert (code, out) == (2, "")
    assert "compares no way to choose demonstrations called blocks, no" in err
