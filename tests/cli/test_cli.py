"""The command line as a user meets it: verbs, JSON, exit codes, two-line errors, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import man_page
import pytest
import typer

from yofo_mlx import cli
from yofo_mlx.cli import groups
from yofo_mlx.cli.verbs import app
from yofo_mlx.runs import listing
from yofo_mlx.runs.events import last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import paths
from yofo_mlx.tasks.suite import tasks as suite

SMALL = (  # of the suite a few tasks: to read all of it takes seconds, in every process anew
    'tasks=[{source="tiny:topic-01"}, {source="tiny:new-topic", role="held_out"}]',
    "train.steps=3",
    "episodes.max_tokens=64",
    "lora.rank=2",
    "evaluation.shots=[0,2]",
    "evaluation.queries=2",
    "evaluation.valid_tasks=1",
)
TINY = '{}\nmodel = "tiny"\n[train]\nsteps = 2\n[[tasks]]\nsource = "{}"\n'


def set_all(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def test_help_lists_every_verb_in_the_group_of_what_it_is_for(yofo: Any) -> None:
    code, out, _ = yofo("--help")
    sections = dict(part.split(":\n", 1) for part in out.split("\n\n") if ":\n" in part)
    verbs = {
        name: [line.split()[0] for line in text.splitlines()] for name, text in sections.items()
    }
    assert code == 0 and list(verbs) == ["Options", *groups.ORDER]
    assert {"train", "resume"} <= set(verbs["Train"]) and verbs["Measure and ask"] == [
        "eval",
        "study",
        "chat",
        "classify",
        "ask",
        "serve",
        "demos",
    ]
    listed = [verb for name in groups.ORDER for verb in verbs[name]]
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_man_page_has_every_verb_that_help_lists(capsys: pytest.CaptureFixture[str]) -> None:
    man_page.main()
    page = capsys.readouterr().out
    verbs: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert page.startswith(".TH YOFO 1") and "\n.B \\-\\-detach" in page and "\x1b" not in page
    for name, verb in verbs.items():
        assert verb.hidden or f".SS {man_page.escaped(f'yofo {name}')}\n" in page


@pytest.mark.parametrize("group", [[], ["data"], ["recipes"]], ids=" ".join)
def test_what_a_verb_does_fits_its_line_of_the_help(
    yofo: Any, group: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = yofo(*group, "--help")
    assert not [line for line in out.splitlines()[1:] if line.endswith("...")]


@pytest.mark.parametrize("arguments", [["trian"], ["train"], ["train", "tiny", "--stpes", "3"]])
def test_a_mistyped_command_is_two_lines_and_2(yofo: Any, arguments: list[str]) -> None:
    code, _, err = yofo(*arguments)
    assert code == 2
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_verbs_and_options(
    shell: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its script does it: the words stand in variables, and `yofo` alone is called."""
    for words, completed in (("yofo tra", "train"), ("yofo train --det", "--detach")):
        said = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        said |= {"_TYPER_COMPLETE_ARGS": words, "_YOFO_COMPLETE": f"complete_{shell}"}
        said |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["yofo"])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 0 and completed in capsys.readouterr().out


def test_a_folder_that_is_gone_is_told(
    yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    code, _, err = yofo("export", "--adapter", "mine", "--model", "tiny")
    assert code == 1 and "the folder you are in is gone" in err and len(err.splitlines()) == 2


def test_without_a_terminal_the_app_says_so(yofo: Any) -> None:
    code, _, err = yofo()
    assert code == 1 and "needs a terminal" in err


BAD_INPUT = {
    "unknown recipe": (["train", "nothing"], 2, "there is no recipe"),
    "unknown key": (["train", "tiny", "--set", "lora.rnk=1"], 2, "did you mean `rank`"),
    "key of a section": (["train", "tiny", "--set", "steps=3"], 2, "did you mean `train.steps`"),
    "key of another section": (
        ["train", "tiny", "--set", "train.learning_rate=1"],
        2,
        "did you mean `optimizer.learning_rate`",
    ),
    "key as an option": (["train", "tiny", "--steps", "3"], 2, "by --set train.steps=VALUE"),
    "nothing like it": (["train", "tiny", "--epochs", "3"], 2, "by --set SECTION.KEY=VALUE"),
    "misspelt option": (["train", "tiny", "--detatch"], 2, "did you mean --detach?"),
    "option of another verb": (["watch", "last", "--detach"], 2, "there is no option --detach\n"),
    "missing file": (["train", "missing.toml"], 3, "nowhere.jsonl"),
    "malformed row": (["train", "malformed.toml"], 3, "rows.jsonl:2"),
    "empty data set": (["train", "empty.toml"], 3, "empty.jsonl"),
    "no room": (["train", "tiny", "--set", "episodes.max_tokens=4"], 3, "fits an episode of 4"),
    "unknown model": (["train", "tiny", "--set", "model=./nowhere"], 2, "no model"),
    "unknown run": (["eval", "nothing"], 2, "no run 'nothing'"),
    "missing data": (["data", "check", "nowhere.csv"], 3, "nowhere.csv"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_ends_in_words_and_writes_nothing(
    yofo: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "missing.toml").write_text(TINY.format("", "nowhere.jsonl"))
    (tmp_path / "malformed.toml").write_text(TINY.format("", "rows.jsonl"))
    (tmp_path / "rows.jsonl").write_text('{"input": "a", "output": "b"}\n{"input": \n')
    (tmp_path / "empty.toml").write_text(TINY.format("", "empty.jsonl"))
    (tmp_path / "empty.jsonl").write_text("")
    before = sorted(tmp_path.rglob("*"))
    found, out, err = yofo(*arguments)
    assert found == code
    assert words in out + err and "Traceback" not in err
    assert len(err.splitlines()) <= 2
    assert sorted(tmp_path.rglob("*")) == before
    assert not paths.runs().exists()


def test_the_main_job_from_train_to_eval(yofo: Any, tmp_path: Path) -> None:
    code, out, _ = yofo("train", "tiny", *set_all(*SMALL), "--name", "first")
    assert code == 0
    run = listing.list_runs()[0]
    assert out.strip() == str(run.path)
    info = run.info()
    assert info.versions["mlx"] and info.data and info.seed == 0

    code, out, _ = yofo("runs", "--json")
    rows = json.loads(out)
    assert code == 0 and [row["run_id"] for row in rows] == [run.run_id]
    assert rows[0]["status"] == "finished" and rows[0]["step"] == 3

    code, _, err = yofo("eval", "last", "--picture", tmp_path / "picture.doc")
    assert code == 2 and ".png, .svg or .pdf" in err
    code, _, err = yofo("eval", "last", "--picture", tmp_path / "nowhere" / "picture.png")
    assert code == 2 and "nowhere is no folder" in err

    code, _, err = yofo("eval", "last", "--set", "evaluation.shots=[500]")
    assert code == 2 and "evaluation.shots begins with 500" in err
    assert not run.evaluations_path.exists()

    picture = tmp_path / "picture.svg"
    names = [task.name for task in suite.find("new-topic")[:3]]
    few = [part for name in names for part in ("--task", name)]
    few += set_all("evaluation.queries=1", "evaluation.shots=[0,1]")
    code, out, err = yofo("eval", "last", "--json", "--picture", picture, *few)
    report = json.loads(out)
    assert code == 0 and str(picture) in err
    (metric,) = report["metrics"]
    assert metric["metric"] == "exact" and metric["tasks"] == metric["of"] == 3
    assert [row["shots"] for row in metric["by_shots"]] == [0, 1]
    assert {"shots", "base", "adapter", "base_margin"} <= metric["by_shots"][0].keys()
    assert list(report["tasks"]) == names
    assert picture.read_text().lstrip().startswith("<?xml")
    (path,) = run.evaluations_path.iterdir()
    assert path.name == "0001-3-tasks.json" and json.loads(path.read_text()) == report


def test_show_marks_the_targets_and_counts_the_tasks(yofo: Any) -> None:
    code, out, _ = yofo("show", "tiny", "--json", *set_all(*SMALL))
    facts = json.loads(out)
    assert code == 0
    assert len(facts["episode"]["targets"]) == facts["episode"]["shots"] + 1
    assert 0 < facts["mean"]["target_share"] < 1
    assert {row["role"] for row in facts["tasks"]} == {"train", "held_out"}
    _, text, _ = yofo("show", "tiny", *set_all(*SMALL))
    first = text.splitlines()[0]
    assert first.count("[[") == first.count("]]") == 1 and "⏎]]" in first


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "yofo_mlx.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_steps(count: int, seconds: float = 120) -> Run:
    """Wait until the newest run has made some steps."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = listing.list_runs()
        if found and sum(event["kind"] == "step" for event in found[0].events()) >= count:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("no steps")


def test_ctrl_c_finishes_the_step_and_saves_and_the_run_goes_on_from_there(yofo: Any) -> None:
    process = start("train", "tiny", *set_all(*SMALL, "train.steps=100000"))
    run = wait_for_steps(2)
    assert run.status() == "running"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"yofo resume {run.run_id}" in err
    last = last_event(run.events_path)
    assert run.status() == "stopped" and last is not None
    process = start("resume", run.run_id)
    wait_for_steps(last["step"] + 1)
    assert yofo("stop", run.run_id)[0] == 0
    process.communicate(timeout=60)
    assert process.returncode == 130
    steps = [event["step"] for event in run.events() if event["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.long
def test_a_detached_run_outlives_the_command_that_started_it(yofo: Any) -> None:
    code, out, _ = yofo("train", "tiny", "--detach", *set_all(*SMALL))
    run = listing.list_runs()[0]
    assert code == 0 and out.strip() == str(run.path)
    end = time.monotonic() + 120
    while run.status() in ("created", "running") and time.monotonic() < end:
        time.sleep(0.2)
    assert run.status() == "finished", run.console_path.read_text()


def test_a_detached_run_is_checked_before_anything_is_written(yofo: Any, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(TINY.format("", tmp_path / "nowhere.jsonl"))
    assert yofo("train", recipe, "--detach")[0] == 3
    assert yofo("train", "tiny", "--detach", "--set", "model=nowhere")[0] == 2
    assert not paths.runs().exists()


def test_a_detached_run_is_locked_and_can_be_stopped_from_its_birth(yofo: Any) -> None:
    yofo("train", "tiny", "--detach", *set_all(*SMALL, "train.steps=100000"))
    run = listing.list_runs()[0]
    assert run.status() == "running"
    assert yofo("resume", "last")[0] == 1
    assert yofo("stop", "last")[0] == 0
    end = time.monotonic() + 120
    while run.is_locked() and time.monotonic() < end:
        time.sleep(0.2)
    assert run.status() == "stopped"


@pytest.mark.parametrize(
    "words",
    [pytest.param(("--version",), marks=pytest.mark.long), ("recipes", "explain", "--json")],
)
def test_a_reader_that_left_before_the_first_word_is_no_error(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "yofo_mlx.cli", *words], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.long
def test_no_verb_takes_a_second_trainer_on_one_run(yofo: Any) -> None:
    process = start("train", "tiny", *set_all(*SMALL, "train.steps=100000"))
    try:
        run = wait_for_steps(1)
        code, _, err = yofo("resume", run.run_id)
        assert code == 1 and f"process {process.pid}" in err
    finally:
        process.kill()
        process.communicate()
    assert run.status() == "died"
