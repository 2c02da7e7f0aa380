"""`yofo chat --health`: what the demonstrations are worth, told and in JSON."""

import json
from pathlib import Path

import pytest

from yofo_mlx.commands import chat as command
from yofo_mlx.commands.chat import chat
from yofo_mlx.commands.health_lines import health_lines
from yofo_mlx.errors import ExitCode, RecipeError, YofoError
from yofo_mlx.prompting.inprocess import InProcess


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no process: what a session is called for is the same."""
    monkeypatch.setattr(command, "SessionClient", lambda echo: InProcess())


def test_health_is_one_object_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"{word} -> {name}" for name in ("Anna", "Tom") for word in ("cow", "pig", "dog", "cat")
    ]
    (tmp_path / "shown.txt").write_text("\n".join(rows) + "\n")
    shown = str(tmp_path / "shown.txt")
    assert chat(model="tiny", demos=[shown], health=True, as_json=True) == ExitCode.OK
    health = json.loads(capsys.readouterr().out)
    assert (health["shots"], health["unread"]) == (8, 0)
    assert health["soundness"]["contradictions"]
    lines = list(health_lines(health))
    assert any("one input, two answers" in line for line in lines)
    assert [line.split()[0] for line in lines[1:5]] == ["1-1", "2-3", "4-7", "8-8"]


@pytest.mark.parametrize("way", ["similar", "adaptive"])
def test_health_of_what_each_query_chooses_is_refused_in_its_own_words(
    tmp_path: Path, way: str
) -> None:
    (tmp_path / "shown.txt").write_text("cow -> Anna\npig -> Tom\n")
    with pytest.raises(YofoError, match="each one sees some of its own"):
        chat(model="tiny", demos=[str(tmp_path / "shown.txt")], health=True, way=way)


@pytest.mark.parametrize(("demos", "queries"), [([], []), (["tiny:topic-01"], ["cow"])])
def test_health_without_demonstrations_or_with_queries_is_refused(
    demos: list[str], queries: list[str]
) -> None:
    with pytest.raises(RecipeError, match="--health"):
        chat(model="tiny", demos=demos, queries=queries, health=True)
