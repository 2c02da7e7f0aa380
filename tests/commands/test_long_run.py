"""A run of more than a day is told before it begins, and asked about at a terminal."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.commands.long_run import agreed, tell_of_several
from yofo_mlx.planning.hours import Hours
from yofo_mlx.planning.speeds import Speed, keep_probe
from yofo_mlx.runs.listing import list_runs

STUDY = """
model = "tiny"
train.tokens = 400
[study]
arms = ["base", "many-all", "many-last"]
seeds = 1
[[tasks]]
source = "tiny:topic-01"
[[tasks]]
source = "tiny:topic-02"
role = "held_out"
"""
LONG = Hours(Speed(1.0, "probe", "probe", "tiny", 512), 1000, 100.0, 5.0, 0.0, is_bound=False)


class Terminal(io.StringIO):
    """A stream that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "ask", "begins"),
    [("y\n", True, True), ("\n", True, False), ("", True, False), ("n\n", False, True)],
)
def test_who_sits_at_a_terminal_is_asked(
    answer: str, ask: bool, begins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", said := Terminal())
    assert agreed(LONG, ask=ask) is begins
    assert "longer than a day: about 1 d 3 h (from a probe" in said.getvalue()
    assert ("begin it?" in said.getvalue()) is ask


def test_a_script_is_told_and_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert agreed(None, ask=True) and agreed(LONG, ask=True)
    assert capsys.readouterr().err.count("longer than a day") == 1


def test_of_several_runs_it_is_told_how_many_take_so_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_of_several([None, None])
    assert not capsys.readouterr().err
    tell_of_several([LONG])
    assert "this run takes longer than a day: about 1 d 3 h" in capsys.readouterr().err
    tell_of_several([None, LONG, replace(LONG, steps=2000)])
    said = capsys.readouterr().err
    assert "2 of 3 runs take, each, longer than a day: about 2 d 7 h" in said


@pytest.mark.parametrize("verb", [["queue", "add"], ["queue", "add", "--study"], ["study"]])
def test_the_queue_and_a_study_tell_it_too(
    verb: list[str], yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_probe(Speed(1e-9, "probe", "probe", "tiny", 512, 1e-3))
    monkeypatch.setattr("yofo_mlx.queueing.worker.ensure", lambda: None)
    monkeypatch.setattr("yofo_mlx.commands.study._make", lambda making, jobs: None)
    recipe = tmp_path / "long.toml"
    recipe.write_text(STUDY)
    code, _, err = yofo(*verb, recipe)
    assert code == 0 and err.count("longer than a day: at most") == 1
    assert ("trainings of this study" in err) is (verb != ["queue", "add"])


@pytest.mark.parametrize("options", [[], ["--detach"]])
def test_nothing_is_begun_that_is_not_wanted(
    options: list[str], yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_probe(Speed(1e-9, "probe", "probe", "tiny", 512, 1e-3))
    monkeypatch.setattr("yofo_mlx.commands.long_run.can_draw", lambda stream: True)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    more = ["--set", 'tasks=[{source="tiny:topic-01"}]']
    code, _, err = yofo("train", "tiny", *options, *more)
    assert code == 1 and "longer than a day" in err and "nothing was begun" in err
    assert not list_runs()
