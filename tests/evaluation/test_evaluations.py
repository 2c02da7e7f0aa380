"""Evaluations in a run's folder: one file each, kept task by task, never overwritten."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.streams import FreeWriter
from tui.runs.follow import Watcher
from yofo_mlx.commands.runs import run_row
from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.archive import EvaluationFile
from yofo_mlx.evaluation.scores import Point, TaskScores
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run

TASK = TaskScores("a", "other", "", "exact", 4, 0, 0, 99, 1, None, 0, "", (Point(0, 0.5, 1.0),))


@pytest.fixture
def run() -> Run:
    return listing.create("measured")


def asked(*names: str, queries: int = 4) -> dict[str, Any]:
    return {"tasks": {name: {} for name in names}, "evaluation": {"queries": queries}}


def whole(
    run: Run, *names: str, full: bool = True, score: float = 0.5, **more: Any
) -> EvaluationFile:
    kept = archive.begin(run, asked(*names, **more), full=full)
    for model in archive.MODELS:
        for name in names:
            kept.add(model, replace(TASK, task=name, points=(Point(0, score, 1.0),)))
    kept.finish()
    return kept


def files(run: Run) -> list[str]:
    return sorted(path.name for path in run.evaluations_path.iterdir())


def test_every_evaluation_is_a_file_of_its_own(run: Run) -> None:
    first = whole(run, "banking77", "b")
    before = first.path.read_bytes()
    whole(run, "banking77", full=False)
    whole(run, "banking77", "b")
    whole(run, "banking77", "b", full=False, queries=2)
    assert files(run) == [
        "0001-full.json",
        "0002-banking77.json",
        "0003-full.json",
        "0004-2-tasks.json",
    ]
    assert first.path.read_bytes() == before
    content = json.loads(before)
    assert content["asked"] == asked("banking77", "b") and content["date"]
    assert content["tasks"]["b"][0]["adapter"] == 0.5


def test_a_partial_evaluation_never_replaces_a_full_one(run: Run) -> None:
    assert archive.latest(run) == {}
    whole(run, "a", "b", score=0.25)
    whole(run, "a", full=False, score=0.75)
    archive.begin(run, asked("a", "b", queries=9), full=True).add("base", TASK)
    (metric,) = archive.latest(run)["metrics"]
    assert metric["by_shots"][0]["adapter"] == 0.25
    assert len(files(run)) == 3


def test_what_was_cut_off_goes_on_when_the_same_is_asked_again(run: Run) -> None:
    kept = archive.begin(run, asked("a", "b"), full=True)
    kept.add("base", replace(TASK, points=(Point(0, 1.0, math.nan),)))
    assert not archive.begin(run, asked("a", "b", queries=5), full=True).has("base", "a")
    again = archive.begin(run, asked("a", "b"), full=True)
    assert again.path == kept.path
    assert again.has("base", "a") and not again.has("base", "b") and not again.has("adapter", "a")
    for model, name in (("base", "b"), ("adapter", "a"), ("adapter", "b")):
        again.add(model, replace(TASK, task=name))
    again.finish()
    assert files(run) == ["0001-full.json"]
    row = json.loads(again.path.read_text())["tasks"]["a"][0]
    assert (row["base"], row["base_loss"]) == (1.0, "nan")


def test_the_tenthousandth_evaluation_is_the_newest(run: Run) -> None:
    first = whole(run, "a")
    first.path.rename(first.path.with_name("9999-full.json"))
    assert whole(run, "a", score=0.0).path.name == "10000-full.json"
    assert archive.latest(run)["metrics"][0]["by_shots"][0]["adapter"] == 0.0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"full": true}', "\xff"])
def test_a_damaged_file_is_passed_over_and_kept(run: Run, text: str) -> None:
    whole(run, "a")
    path = run.evaluations_path / "0007-full.json"
    path.write_text(text, encoding="latin-1")
    assert archive.latest(run)["complete"]
    assert whole(run, "a").path.name == "0008-full.json"
    assert path.read_text(encoding="latin-1") == text


def test_the_same_asked_twice_at_a_time_never_takes_back_what_is_complete(run: Run) -> None:
    slow = archive.begin(run, asked("a"), full=True)
    slow.add("base", TASK)
    fast = archive.begin(run, asked("a"), full=True)
    fast.add("adapter", TASK)
    fast.finish()
    before = fast.path.read_bytes()
    slow.add("base", TASK)  # and is ended here
    assert fast.path.read_bytes() == before and archive.latest(run)["complete"]
    slow.add("adapter", TASK)
    slow.finish()
    assert fast.path.read_bytes() == before


@pytest.mark.parametrize(
    "measured",
    [
        {},
        [],
        {"base": {}, "adapter": 7},
        {"base": {"a": {}}, "adapter": {}},
        {"base": {"a": {"points": [{"shots": 0}]}}, "adapter": {}},
        {"base": {"a": None}, "adapter": {}},
    ],
)
def test_a_damaged_beginning_is_not_gone_on_with(run: Run, measured: Any) -> None:
    kept = archive.begin(run, asked("a"), full=True)
    kept.add("base", TASK)
    text = json.dumps(json.loads(kept.path.read_text()) | {"measured": measured})
    kept.path.write_text(text)
    assert whole(run, "a").path.name == "0002-full.json"
    assert kept.path.read_text() == text


def test_an_evaluation_of_an_adapter_that_was_since_replaced_says_of_which_step(run: Run) -> None:
    run.recipe_path.touch()
    writer = FreeWriter(run.events_path)
    writer.write("eval", step=100, loss=1.0, best=True)
    kept = archive.begin(run, asked("a") | {"adapter": {"step": 100}}, full=True)
    for model in archive.MODELS:
        kept.add(model, TASK)
    kept.finish()
    writer.write("eval", step=150, loss=2.0, best=False)
    assert run_row(run)["eval"] == "exact 50% at 0"
    writer.write("eval", step=200, loss=0.5, best=True)
    writer.close()
    assert run_row(run)["eval"] == "exact 50% at 0, of step 100"
    *_, (view,) = Watcher().look()
    assert [curve.name for curve in view.curves] == ["base", "adapter of step 100"]


def test_an_older_one_that_is_gone_on_with_is_shown(run: Run) -> None:
    run.recipe_path.touch()
    older = archive.begin(run, asked("a", "b"), full=True)
    older.add("base", TASK)
    whole(run, "a", full=False)
    watcher = Watcher()
    *_, (view,) = watcher.look()
    assert not any(curve.points for curve in view.curves)
    whole(run, "a", "b")
    assert files(run) == ["0001-full.json", "0002-a.json"]
    *_, (view,) = watcher.look()
    assert [curve.points for curve in view.curves] == [((0, 0.5),)] * 2


def test_a_file_is_read_once_however_many_events_come(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.recipe_path.touch()
    whole(run, "a")
    read: list[Path] = []
    json_of = archive.read_object
    monkeypatch.setattr(archive, "read_object", lambda path: read.append(path) or json_of(path))
    watcher, writer = Watcher(), FreeWriter(run.events_path)
    for step in range(5):
        writer.write("step", step=step, loss=1.0)
        *_, (view,) = watcher.look()
        assert view.curves[-1].points == ((0, 0.5),)
    writer.close()
    assert len(read) == 1


def test_what_is_written_again_is_made_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    plain = archive.finite
    monkeypatch.setattr(archive, "finite", lambda value: made.append(value) or plain(value))
    names = ["a", "b", '"\u00e9 \U0001f600', "d"]
    kept = archive.begin(run, asked(*names), full=True)
    monkeypatch.setattr(archive, "read_object", lambda path: pytest.fail(f"{path} was read"))
    for model in archive.MODELS:
        for name in names:
            kept.add(model, replace(TASK, task=name, points=(Point(0, 0.5, math.nan),)))
            assert json.loads(kept.path.read_text()) == plain(kept.content)
    assert sum(isinstance(one, dict) and "points" in one for one in made) == 2 * len(names)
    assert not any("measured" in one for one in made)
