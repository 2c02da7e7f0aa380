"""What a run that goes on is: the one that began, whatever was done to files meanwhile."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx import launch, runs
from yofo_mlx.checkpoints import list_checkpoints
from yofo_mlx.recipe_file import find_recipe, load_recipe
from yofo_mlx.runs import Run

SMALL = (
    "train.steps=4",
    "train.checkpoint_every=1",
    "train.keep_checkpoints=3",
    "episodes.max_tokens=96",
    "lora.rank=2",
    "evaluation.valid_tasks=1",
    "evaluation.queries=1",
    "evaluation.shots=[0]",
)
ROWS = "".join(f'{{"input": "question {i}", "output": "yes"}}\n' for i in range(20))
OWN = 'model = "tiny"\n[train]\nsteps = 4\n[[tasks]]\nsource = "{}"\n'


def begun(yofo: Any, recipe: str | Path = "tiny", *settings: str) -> Run:
    """Train a short run and take its end back, so that it can go on from its third step."""
    changes = [part for s in (*SMALL, *settings) for part in ("--set", s)]
    assert yofo("train", recipe, *changes)[0] == 0
    run = runs.list_runs()[0]
    shutil.rmtree(run.checkpoint_path(4))
    lines = run.events_path.read_text().splitlines(keepends=True)
    run.events_path.write_text("".join(lines[:-1]))
    return run


def warnings(run: Run) -> list[str]:
    return [event["message"] for event in run.events() if event["kind"] == "warning"]


def test_a_finished_run_has_nothing_left_to_do(yofo: Any) -> None:
    run = begun(yofo)
    assert yofo("resume", "last")[0] == 0
    before = run.events_path.read_bytes()
    for how in ((), ("--detach",), ("--restarts", "2")):
        code, out, err = yofo("resume", "last", *how)
        assert (code, out.strip()) == (0, str(run.path)) and "is finished, after 4 steps" in err
    assert run.events_path.read_bytes() == before


def test_what_a_resume_takes_back_is_kept_beside(yofo: Any) -> None:
    run = begun(yofo)
    with run.events_path.open("a") as file:
        file.write('{"v": 1, "t": 1, "kind": "step", "step": 99}\n{"v": 1, "t": 1, "ki')
    assert yofo("resume", "last")[0] == 0
    steps = [event["step"] for event in run.events() if event["kind"] == "step"]
    assert steps == [1, 2, 3, 4]
    past = [
        json.loads(line)
        for line in (run.path / "past.jsonl").read_text().splitlines()
        if line
        if not line.endswith('"ki')
    ]
    assert [event["step"] for event in past if event["kind"] == "step"] == [4, 99]
    assert (past[-1]["kind"], past[-1]["step"]) == ("resumed", 3)


def test_data_that_changed_is_told(yofo: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(ROWS)
    (tmp_path / "own.toml").write_text(OWN.format(rows))
    run = begun(yofo, tmp_path / "own.toml")
    rows.write_text(ROWS.replace("yes", "maybe"))
    _, _, err = yofo("resume", "last")
    assert "the data of 1 tasks changed since the run began: rows" in err
    assert "the data of 1 tasks" in warnings(run)[-1]


def test_data_that_did_not_change_is_not_mentioned(yofo: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(ROWS)
    (tmp_path / "own.toml").write_text(OWN.format(tmp_path / "rows.jsonl"))
    run = begun(yofo, tmp_path / "own.toml")
    assert yofo("resume", "last")[0] == 0
    assert not warnings(run)


def test_data_that_vanished_ends_a_resume_in_words_and_loses_nothing(
    yofo: Any, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(ROWS)
    (tmp_path / "own.toml").write_text(OWN.format(rows))
    run = begun(yofo, tmp_path / "own.toml")
    rows.unlink()
    code, _, err = yofo("resume", "last")
    assert code == 3 and "rows.jsonl" in err and len(err.splitlines()) == 2
    assert run.status() == "failed"
    rows.write_text(ROWS)
    assert yofo("resume", "last")[0] == 0
    assert run.status() == "finished" and not warnings(run)


def test_a_recipe_that_was_edited_does_not_change_the_run(yofo: Any) -> None:
    run = begun(yofo)
    run.recipe_path.write_text(run.recipe_path.read_text().replace("steps = 4", "steps = 40"))
    assert yofo("resume", "last")[0] == 0
    events = list(run.events())
    assert (events[-1]["kind"], events[-1]["step"]) == ("finished", 4)
    assert "recipe.toml was edited" in warnings(run)[-1]


def test_other_versions_and_another_model_are_told(yofo: Any) -> None:
    run = begun(yofo)
    info = run.info()
    info["versions"]["mlx"] = "0.1"
    info["model"]["fingerprint"] = "another"
    runs.save_info(run, info)
    assert yofo("resume", "last")[0] == 0
    told = " / ".join(warnings(run))
    assert "mlx 0.1 is now" in told and "files of model tiny changed" in told


@pytest.mark.parametrize("verb", ["resume", "stop", "eval", "watch", "chat"])
def test_a_run_of_a_newer_version_is_refused_readably(yofo: Any, verb: str) -> None:
    run = launch.create_run(load_recipe(find_recipe("tiny"), SMALL), "new")
    runs.save_info(run, run.info() | {"format": 2})
    before = sorted(path.name for path in run.path.iterdir())
    code, _, err = yofo(verb, "last")
    assert code == 1 and "made by a newer yofo" in err and "update yofo" in err
    assert sorted(path.name for path in run.path.iterdir()) == before
    assert yofo("runs")[0] == 0


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "name", ["adapters.safetensors", "optimizer_state.safetensors", "trainer_state.json"]
)
def test_a_corrupt_checkpoint_is_named_and_the_one_before_is_used(yofo: Any, name: str) -> None:
    run = begun(yofo)
    adapter = (run.adapter_path / "adapters.safetensors").read_bytes()
    newest = list_checkpoints(run)[0]
    damage(newest / name)
    assert yofo("resume", "last")[0] == 0
    assert f"checkpoint {newest} cannot be read" in warnings(run)[-1]
    assert newest.with_name("0000003-unreadable").is_dir()
    assert [event["step"] for event in run.events() if event["kind"] == "step"] == [1, 2, 3, 4]
    assert (run.adapter_path / "adapters.safetensors").read_bytes() == adapter


def test_when_no_checkpoint_can_be_read_the_run_says_so_and_keeps_them(yofo: Any) -> None:
    run = begun(yofo)
    for path in list_checkpoints(run):
        damage(path / "adapters.safetensors")
    code, _, err = yofo("resume", "last")
    assert code == 1 and err.count("cannot be read") == 2 and "begin at step 0" in err
    assert len([path for path in run.checkpoints_path.iterdir() if "unreadable" in path.name]) == 2


def test_a_half_written_checkpoint_is_not_taken_for_one_and_is_removed(yofo: Any) -> None:
    run = begun(yofo)
    half = run.checkpoints_path / ".part.0000009.abc"
    shutil.copytree(list_checkpoints(run)[0], half)
    assert yofo("resume", "last")[0] == 0
    assert not half.exists() and run.status() == "finished"


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("[metal::malloc] Resource limit (499000) exceeded.", "resource limit"),
        ("[malloc_or_wait] Unable to allocate 123456 bytes.", "out of memory"),
    ],
)
def test_what_mlx_raises_for_want_of_memory_is_two_lines_and_has_a_cause(
    yofo: Any, monkeypatch: pytest.MonkeyPatch, message: str, cause: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr("yofo_mlx.update.loss_and_gradients", fail)
    code, _, err = yofo("train", "tiny", *[part for s in SMALL for part in ("--set", s)])
    assert code == 1 and message in err and "yofo resume" in err and "Traceback" not in err
    last = runs.last_event(runs.list_runs()[0].events_path)
    assert last is not None and (last["kind"], last["cause"]) == ("failed", cause)
