"""What comes next is told in one form, and works when it is pasted."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.processes import write_recipe
from yofo_mlx.system import talk

SHORT = ("--set", "evaluation.shots=[0,2]", "--set", "evaluation.queries=2")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"word {n},{'a' if n % 2 else 'b'}\n" for n in range(40))
    (tmp_path / "my data.csv").write_text(f"it's,team\n{rows}")
    write_recipe(tmp_path, 2)
    return tmp_path


def told(err: str) -> list[str]:
    """Return the words of the command that is told in the last line."""
    line = err.strip().splitlines()[-1]
    assert line.startswith("next: yofo "), err
    return shlex.split(line)[2:]


def test_data_become_a_run_by_what_each_step_tells(here: Path, yofo: Any) -> None:
    options = ["--input", "it's", "--output", "team"]
    words = ["data", "check", "my data.csv", *options]
    for verb in ("data preview", "recipes new"):
        code, _, err = yofo(*words)
        words = told(err)
        assert code == 0 and " ".join(words) == f"{verb} my data.csv {' '.join(options)}"
    words = told(yofo(*words, "--model", "tiny", "--steps", "1")[2])
    for verb in ("show", "plan", "train"):
        assert words == [verb, "my-data.toml"]
        code, _, err = yofo(*words)
        assert code == 0
        words = told(err)
    assert words[0] == "eval"
    code, _, err = yofo(*words, "--data", "my data.csv", *options, *SHORT)
    chat = told(err)
    assert code == 0 and chat[2:] == ["--demos", "my data.csv", *options]
    assert yofo(*chat, "--query", "word 3")[0] == 0


def test_a_file_that_looks_like_an_option_is_called_by_a_path(here: Path, yofo: Any) -> None:
    Path("-x.csv").write_text("text,label\n" + "a,b\nc,d\n" * 4)
    words = told(yofo("data", "check", "--", "-x.csv")[2])
    assert words == ["data", "preview", "./-x.csv"]
    assert told(yofo(*words)[2]) == ["recipes", "new", "./-x.csv"]


def test_what_was_set_is_set_in_the_next_step_too(here: Path, yofo: Any) -> None:
    words = ["show", "2.toml", "--set", 'description="it is mine"']
    plan = told(yofo(*words)[2])
    assert plan == ["plan", *words[1:]] and told(yofo(*plan)[2]) == ["train", *words[1:]]


def test_what_does_not_fit_is_planned_shorter(here: Path, yofo: Any) -> None:
    long = ("--set", "episodes.max_tokens=4000000", "--set", "memory.limit_gb=1")
    code, _, err = yofo("plan", "2.toml", *long)
    assert code == 4
    shorter = told(err)
    assert shorter[: len(long) + 2] == ["plan", "2.toml", *long]
    code, _, err = yofo(*shorter)
    assert code == 0 and told(err) == ["train", *shorter[1:]]


def test_a_task_of_the_suite_is_asked_by_its_name(here: Path, yofo: Any) -> None:
    assert yofo("train", "2.toml")[0] == 0
    chat = told(yofo("eval", "last", "--data", "tiny:new-topic-03", *SHORT)[2])
    assert chat[2:] == ["--demos", "tiny:new-topic-03"]


def test_mistakes_are_mended_and_checked_again(here: Path, yofo: Any) -> None:
    (here / "bad.csv").write_text("text,label\n1,2,3\n")
    for verb in ("check", "preview"):
        code, _, err = yofo("data", verb, "bad.csv")
        assert code == 3 and told(err) == ["data", "check", "bad.csv"]


@pytest.mark.parametrize(
    "words", ["data check 60.csv", "data preview 60.csv", "show 2.toml", "plan 2.toml", "runs"]
)
def test_nothing_is_told_to_a_program(here: Path, yofo: Any, words: str) -> None:
    shutil.copy("my data.csv", "60.csv")
    _, out, err = yofo(*words.split(), "--json")
    assert json.loads(out) is not None and "next:" not in err


def test_yofo_is_called_by_its_path_where_it_is_no_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["my env/bin/yofo"])
    for path, name in (("", "'my env/bin/yofo'"), ("yofo is here", "yofo")):
        monkeypatch.setattr(shutil, "which", lambda _, path=path: path or None)
        talk.say_next("runs")
        assert capsys.readouterr().err == f"next: {name} runs\n"
