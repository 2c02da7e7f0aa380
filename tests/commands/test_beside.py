"""`yofo chat --beside` and `/beside`: what is printed, and what a mistake leaves."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands.chatting import Typed
from tests.hostile.test_fuzz_folders import InProcess
from tests.prompting.test_sides import LORAS, write_adapter
from yofo_mlx.commands import chat as command
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.conversation import Conversation
from yofo_mlx.errors import ExitCode
from yofo_mlx.prompting.held import Model

SHOTS = "horse cow -> Anna\nplum pear -> Tom\n"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("adapters") / "one"
    return str(write_adapter(folder, LORAS["rank 2, few layers"], 1))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Answer queries in this process, as a script has them."""
    (tmp_path / "d.txt").write_text(SHOTS)
    monkeypatch.setattr(command, "SessionClient", InProcess)

    def chat(*queries: str, **options: Any) -> ExitCode:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        options = {"model": "tiny", "demos": [str(tmp_path / "d.txt")], "max_tokens": 3, **options}
        return command.chat(queries=queries, **options)

    return chat


def test_a_line_holds_the_answers_of_all_in_columns(
    run: Any, adapter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = ["cow", "pear " * 2000, "plum"]
    assert run(*queries, beside=[adapter]) == ExitCode.WONT_FIT
    captured = capsys.readouterr()
    together = [line.split("\t") for line in captured.out.split("\n")[:-1]]
    assert "base: the query" in captured.err and "ask one of them alone" in captured.err
    alone = []
    for options in ({}, {"adapter": adapter}):
        run(*queries, **options)
        alone.append(capsys.readouterr().out.split("\n")[:-1])
    assert together == [list(pair) for pair in zip(*alone, strict=True)]


@pytest.mark.parametrize("labels", [[], ["Anna", "Tom"]])
def test_an_object_holds_the_answers_by_name_and_what_one_alone_gives_as_ever(
    run: Any, adapter: str, labels: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def answers(**options: Any) -> dict[str, Any]:
        run("cow", labels=labels, as_json=True, **options)
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        for one in (answer, *answer.get("answers", {}).values()):
            one.pop("seconds", None), one.pop("tokens_per_s", None)
        return answer

    both, base, adapted = answers(beside=[adapter]), answers(), answers(adapter=adapter)
    assert "answers" not in base
    assert both == base | {
        "answers": {
            "base": {key: base[key] for key in base if key != "input"},
            adapter: {key: adapted[key] for key in adapted if key != "input"},
        }
    }


def test_at_the_keyboard_one_comes_and_goes_and_a_mistake_changes_nothing(
    adapter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    room = Chatroom(InProcess(), Model(model="tiny"), max_tokens=3)  # type: ignore[arg-type]
    room.open()

    def enter(*entered: str) -> str:
        Conversation(room, Typed(*entered)).run()  # type: ignore[arg-type]
        return capsys.readouterr().err

    assert "name who is to answer" in enter(SHOTS.strip(), "/beside")
    told = enter(f"/beside {adapter}", "cow", "/stats")
    assert f"keys and values: base 1.3 MB, {adapter} 1.3 MB" in told
    assert "switching ..." in told and "loading" not in told
    assert "(base: 3 tokens, " in told and f"({adapter}: 3 tokens, " in told
    assert f"{adapter}: 39 tokens, 1.3 MB\n" in told
    assert len(room.shown) == 2
    for wrong in (f"/beside {adapter}", "/beside base", "/beside nowhere/at all", "/beside no-run"):
        told = enter(wrong)
        assert any(word in told for word in ("answers already", "no adapter in", "no run"))
        assert len(room.shown) == 2 and [one.adapter for one in room.model.beside] == [adapter]
    table = enter("/label Anna|Tom", "cow").splitlines()
    assert [name.strip() for name in table[-1].split("  ") if name] == ["base", adapter]
    enter("/beside")
    assert not room.model.beside
    assert f"{adapter}: 39 tokens, 1.3 MB, aside" in enter("/stats")
