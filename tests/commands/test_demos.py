"""`yofo demos`: what a user types, what is told, what stays."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.commands.chatting import FakeClient
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.prompting.held import Model
from yofo_mlx.system import paths

LINES = "".join(f"message {n} -> {'sales' if n % 2 else 'billing'}\n" for n in range(8))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(LINES)


def test_a_set_is_added_to_shown_and_listed(yofo: Any) -> None:
    code, out, err = yofo("demos", "add", "teams", "a.txt", "--instruction", "Name the team.")
    assert (code, out) == (0, "")
    assert "8 rows added to teams, which has 8\nnext: " in err
    assert err.endswith(" chat --model tiny --demos teams\n")
    Path("b.txt").write_text("message 1 -> sales\nmessage 0 -> sales\n")
    code, _, err = yofo("demos", "add", "teams", "b.txt")
    assert "1 row added to teams, which has 9; 1 are there already" in err
    assert "inputs with more than one answer: 1" in err
    code, out, err = yofo("demos", "show", "teams")
    assert out.splitlines()[:2] == ["       Name the team.", "     1  message 0 -> billing"]
    assert "9 rows; 2 labels: sales 5, billing 4" in err
    code, out, err = yofo("demos", "list", "--json")
    [one] = json.loads(out)
    assert (one["name"], one["rows"], one["labels"]) == ("teams", 9, {"sales": 5, "billing": 4})
    assert (one["caches"], one["instruction"]) == ([], "Name the team.")
    assert yofo("demos", "list")[1].splitlines()[1].split()[:3] == ["teams", "9", "2"]


def test_tokens_are_counted_where_a_model_is_named(yofo: Any) -> None:
    yofo("demos", "add", "teams", "a.txt")
    found = json.loads(yofo("demos", "show", "teams", "--model", "tiny", "--json")[1])
    assert all(row["tokens"] > 2 for row in found["rows"])
    assert found["rows"][2]["row"] == 3
    err = yofo("demos", "show", "teams", "--model", "tiny")[2]
    assert err.endswith(" demos check teams --model tiny\n")  # of the same model
    assert yofo("demos", "show", "teams", "--model", "nowhere")[0] == 2


def test_check_tells_doublets_contradictions_rare_labels_and_lines_that_are_no_rows(
    yofo: Any,
) -> None:
    yofo("demos", "add", "teams", "a.txt")
    with (paths.demos() / "teams.jsonl").open("a") as file:
        file.write('{"input": "message 0", "output": "billing"}\n')
        file.write('{"input": "message 1", "output": "billing"}\n')
        file.write('{"input": "new", "output": "lonely"}\nnonsense\n')
    code, out, err = yofo("demos", "check", "teams")
    assert code == 3
    for words in ("the same row as", "same input as", "'lonely' has one example only", "not JSON"):
        assert words in out
    assert "1 error, 3 warnings" in err
    kinds = json.loads(yofo("demos", "check", "teams", "--json")[1])["problems"]
    assert {problem["line"] for problem in kinds} == {9, 10, 11, 12}


def test_check_with_a_model_tells_the_health_of_a_set(yofo: Any) -> None:
    yofo("demos", "add", "teams", "a.txt")
    code, out, err = yofo("demos", "check", "teams", "--model", "tiny", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["rows"], found["health"]["shots"]) == (8, 8)
    curve = found["health"]["learning"]["curve"]
    assert [stretch["first"] for stretch in curve] == [1, 2, 4, 8]
    assert "health" not in json.loads(yofo("demos", "check", "teams", "--json")[1])
    code, out, err = yofo("demos", "check", "teams", "--model", "nowhere")
    assert (code, out) == (2, "")
    assert "nowhere" in err


def test_a_set_whose_rows_have_all_one_label_is_told(yofo: Any) -> None:
    Path("one.txt").write_text("a -> x\nb -> x\n")
    yofo("demos", "add", "one", "one.txt")
    code, out, _ = yofo("demos", "check", "one")
    assert code == 0
    assert "every row has the answer 'x', and so will every query" in out


def test_what_is_dropped_comes_back_by_the_line_that_is_told(yofo: Any) -> None:
    yofo("demos", "add", "teams", "a.txt", "--instruction", "Name the team.")
    for rows, left in (("3",), 7), (("1-2", "4"), 5), ((), None):
        _, _, err = yofo("demos", "drop", "teams", *rows)
        again = err.splitlines()[-1].partition("yofo demos ")[2].split()
        there = json.loads(yofo("demos", "list", "--json")[1])
        assert (there[0]["rows"] if there else None) == left
        assert yofo("demos", *again)[0] == 0
        [one] = json.loads(yofo("demos", "list", "--json")[1])
        assert (one["rows"], one["instruction"]) == (8, "Name the team.")


def test_a_set_with_lines_that_are_no_rows_comes_back_with_its_instruction(yofo: Any) -> None:
    yofo("demos", "add", "teams", "a.txt", "--instruction", "Name the team.")
    [one] = json.loads(yofo("demos", "list", "--json")[1])
    with Path(one["path"]).open("a") as file:
        file.write("no row\n")
    _, _, err = yofo("demos", "drop", "teams")
    again = shlex.split(err.splitlines()[-1].partition("yofo demos ")[2])
    assert yofo("demos", *again)[0] == 0
    [one] = json.loads(yofo("demos", "list", "--json")[1])
    assert (one["rows"], one["instruction"]) == (8, "Name the team.")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("add", "a.b", "a.txt"), 2, "no name of a set"),
        (("add", "teams"), 2, "nothing to add is named"),
        (("add", "teams", "missing.csv"), 3, "no such file"),
        (("show", "nope"), 2, "there is no demonstration set 'nope'"),
        (("check", "nope"), 2, "there is no demonstration set 'nope'"),
        (("drop",), 2, "no set is named"),
        (("drop", "nope"), 2, "there is no demonstration set 'nope'"),
        (("drop", "teams", "x"), 2, "'x' is no row"),
        (("drop", "teams", "9"), 2, "has 8 rows, and no row 9"),
        (("drop", "teams", "5-3"), 2, "has 8 rows, and no rows 5-3"),
        (("drop", "teams", "1-99999999999"), 2, "has 8 rows, and no rows 1-99999999999"),
        (("drop", "teams", "1", "--caches"), 2, "caches are of a set"),
    ],
)
def test_mistakes_are_told_and_change_nothing(
    yofo: Any, words: tuple[str, ...], code: int, told: str
) -> None:
    yofo("demos", "add", "teams", "a.txt")
    before = {path: path.read_bytes() for path in paths.demos().iterdir()}
    found, out, err = yofo("demos", *words)
    assert (found, out) == (code, "")
    assert told in err and "Traceback" not in err
    assert {path: path.read_bytes() for path in paths.demos().iterdir()} == before


def test_a_chat_keeps_what_it_reads_of_a_set_alone(yofo: Any) -> None:
    yofo("demos", "add", "teams", "a.txt")
    client: Any = FakeClient()
    room = Chatroom(client, Model(model="m"), kv_bits=8)
    room.take_file("teams")
    room.choose(4)
    room.drop(1)
    room.show([])
    room.take_file("a.txt")
    room.show([])
    room.take_file("teams")
    room.take_file("a.txt")
    room.show([])
    room.keeps = False
    room.take_file("teams")
    folder = str(paths.demos() / "teams.caches")
    asked = [params.get("kept") for params in client.asked("prefill")]
    assert asked == [folder, folder, None, None, None, None, folder, None, None, None]
    bits = [params.get("kv_bits") for params in client.asked("prefill")]
    assert bits == [kept and 8 for kept in asked]


def test_caches_are_listed_by_whom_and_freed(yofo: Any) -> None:
    yofo("demos", "add", "teams", "a.txt")
    folder = paths.demos() / "teams.caches"
    folder.mkdir()
    (folder / "x.safetensors").write_bytes(bytes(100))
    _, out, err = yofo("demos", "list")
    assert "100 B" in out and "x.safetensors, which cannot be used: " in err
    code, out, _ = yofo("demos", "drop", "teams", "--caches", "--json")
    assert (code, json.loads(out), folder.exists()) == (0, {"freed_bytes": 100}, False)
    assert yofo("demos", "drop", "--caches")[0] == 0
