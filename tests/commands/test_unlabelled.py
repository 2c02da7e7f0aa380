"""Inputs without answers before demonstrations: where they stand, what they change."""

from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.commands import given, unlabelled
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.models.base import load_tokenizer, model_path
from yofo_mlx.prompting.demonstrations import Style
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.inprocess import InProcess


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demos.csv").write_text("text,label\ncat 1,a\ndog 1,b\ncat 2,a\ndog 2,b\n")
    (tmp_path / "more.csv").write_text("text,label\nbird 1,a\nfish 2,\nbird 1,b\n")
    (tmp_path / "plain.txt").write_text("bird 1\n\n  fish 2 \n")
    (tmp_path / "asked.csv").write_text("text\ncat 7\ndog 8\n")
    return tmp_path


def test_inputs_are_read_once_each_from_rows_and_from_lines_and_no_answer_is(folder: Path) -> None:
    for name in ("inputs:more.csv", "inputs:plain.txt"):
        assert unlabelled.read(name, Style(input="text" if "csv" in name else None)) == (
            "bird 1",
            "fish 2",
        )
    parsed = given.parsed(["demos.csv", "inputs:plain.txt", "inputs:more.csv"], Style())
    assert parsed and parsed.inputs == ("bird 1", "fish 2") and len(parsed.examples) == 4


def test_they_stand_before_the_instruction_and_without_any_it_stays_as_it_is() -> None:
    said = unlabelled.before("Name it.", ["bird 1", "fish 2"])
    assert said == f"{unlabelled.PREAMBLE}\n- bird 1\n- fish 2\n\nName it."
    assert unlabelled.before("Name it.", []) == "Name it."


def test_a_model_reads_them_before_the_demonstrations_and_dropping_all_drops_them(
    folder: Path,
) -> None:
    names = ["demos.csv", "inputs:plain.txt"]
    with InProcess() as session:
        room = Chatroom(session, Model(None, "tiny"))
        room.open()
        room.take_named(names, given.parsed(names, Style()))
        prefix = session.prompter.prefix
        tokenizer = load_tokenizer(model_path("tiny"), {})
        read = tokenizer.decode(prefix.tokens)
        before, _, behind = read.partition("fish 2")
        assert "bird 1" in before and "cat" not in before and "cat 1" in behind
        assert len(prefix.demonstrations) == 4
        room.inputs = []
        room.show(room.examples)
        assert "fish" not in tokenizer.decode(session.prompter.prefix.tokens)


def test_they_change_what_is_answered_with_demonstrations_and_without(folder: Path) -> None:
    found = []
    with InProcess() as session:
        for names in ([], ["demos.csv"], ["demos.csv", "inputs:more.csv"], ["inputs:plain.txt"]):
            room = Chatroom(session, Model(None, "tiny"))
            room.open()
            room.take_named(names, given.parsed(names, Style()))
            scores = room.scores("cat 7", ["a", "b"])["scores"]
            found.append(tuple(sorted(one["logprob"] for one in scores)))
    assert len({*found}) == 4


def test_a_file_of_queries_is_labelled_behind_inputs_alone(yofo: Any, folder: Path) -> None:
    asked = ("classify", "tiny", "--data", "asked.csv", "--labels", "a|b", "--out", "out.csv")
    code, _, err = yofo(*asked, "--demos", "inputs:plain.txt")
    assert code == 0 and "2 inputs without answers before them" in err
    assert len((folder / "out.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("classify", "tiny", "--data", "asked.csv", "--out", "o.csv"), "nothing.csv"),
        (("chat", "--model", "tiny", "--query", "x"), "nothing.csv"),
        (("demos", "add", "mine"), "a set is of rows with answers"),
    ],
)
def test_what_cannot_be_read_is_two_lines(
    yofo: Any, folder: Path, words: tuple[str, ...], what: str
) -> None:
    named = ["inputs:nothing.csv"] if words[0] == "demos" else ["--demos", "inputs:nothing.csv"]
    code, out, err = yofo(*words, *named)
    assert code in (2, 3) and not out
    *_, first, second = err.strip().splitlines()
    assert what in first and second.startswith("  "), err
