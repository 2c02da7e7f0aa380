"""Evaluations listed and put side by side: what differs between them is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.archive import Content, EvaluationFile
from yofo_mlx.evaluation.comparison import compare_evaluations
from yofo_mlx.evaluation.scores import Point, TaskScores
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run

TASK = TaskScores("a", "qa", "", "f1", 4, 0, 0, 99, 1, None, 0, "")


@pytest.fixture
def run() -> Run:
    run = listing.create("measured")
    run.recipe_path.touch()
    return run


def begun(run: Run, tasks: dict[str, str], **settings: Any) -> EvaluationFile:
    asked = {
        "role": settings.pop("role", "held_out"),
        "adapter": {"step": settings.pop("step", 10)},
        "seed": settings.pop("seed", 0),
        "evaluation": {"queries": 4, "draws": 1} | settings,
        "tasks": {name: {"fingerprint": mark, "metric": "f1"} for name, mark in tasks.items()},
    }
    return archive.begin(run, asked, full=asked["role"] == "held_out")


def whole(
    run: Run, tasks: dict[str, str], score: float = 0.5, reach: int = 4, **settings: Any
) -> Content:
    kept = begun(run, tasks, **settings)
    for model in archive.MODELS:
        points = [Point(n, score * (model == "adapter"), 1.0) for n in (0, 1, 4) if n <= reach]
        for name in tasks:
            kept.add(model, replace(TASK, task=name, points=tuple(points)))
    kept.finish()
    return kept.content


def test_every_evaluation_is_listed_with_its_state_settings_and_scores(yofo: Any, run: Run) -> None:
    whole(run, {"a": "1", "b": "1"}, 0.25)
    whole(run, {"größe": "1"}, 0.75, role="data", queries=8)
    begun(run, {"a": "1", "b": "1"}, role="trained", step=20).add("base", TASK)
    cut, data, full = archive.listed(run)
    assert (cut.number, cut.complete, cut.done, cut.scores) == (3, False, 0, ())
    assert (data.role, data.tasks, data.step) == ("data", ("größe",), 10)
    assert data.queries == TASK.queries  # as many as were asked, of the 8 that were to be
    assert full.full and full.scores == (archive.Means("f1", 4, 0.0, 0.25, 2),)

    code, out, err = yofo("eval", "last", "--list")
    lines = [line.split("  ") for line in out.splitlines()]
    assert code == 0 and len(lines) == 4
    assert "trained: a and 1 more" in out and "interrupted, 0 of 2 tasks" in out
    assert "held-out tasks (2)" in out and "data: größe" in out and "75.0" in out
    assert "--compare" not in err  # no two that are complete have a task in common
    whole(run, {"b": "1"}, role="data")
    assert f"yofo eval {run.run_id} --compare 1 4" in yofo("eval", "last", "--list")[2]
    _, out, _ = yofo("eval", "last", "--list", "--json")
    rows = json.loads(out)
    assert [row["number"] for row in rows] == [4, 3, 2, 1]
    assert rows[2]["scores"][0]["adapter"] == 0.75 and Path(rows[2]["path"]).is_file()


def test_no_evaluations_is_said_with_the_command_that_makes_one(yofo: Any, run: Run) -> None:
    code, out, err = yofo("eval", "last", "--list")
    assert (code, out) == (0, "") and f"next: yofo eval {run.run_id}\n" in err
    assert json.loads(yofo("eval", "last", "--list", "--json")[1]) == []


def test_what_differs_is_named_and_only_the_same_tasks_are_compared(run: Run) -> None:
    first = whole(run, {"a": "1", "b": "1", "c": "1"}, 0.25, step=10)
    second = whole(run, {"a": "1", "b": "2", "d": "1"}, 0.75, step=20, reach=1)
    found = compare_evaluations(first, second)
    assert [(d.setting, d.first, d.second) for d in found.differences] == [("adapter.step", 10, 20)]
    assert found.is_like_for_like
    assert found.left_out == [
        "b: its rows changed",
        "c: only in the first",
        "d: only in the second",
    ]
    (metric,) = found.metrics
    assert metric["tasks"] == 1 and [row["shots"] for row in metric["by_shots"]] == [0, 1]
    last = metric["by_shots"][-1]
    assert [last[name] for name in found.columns] == [0.0, 0.25, 0.0, 0.75]
    assert found.columns == ["base 1", "adapter 1", "base 2", "adapter 2"]


@pytest.mark.parametrize("setting", [{"seed": 1}, {"queries": 9}, {"draws": 2}])
def test_other_queries_are_never_compared_without_a_word(
    yofo: Any, run: Run, setting: dict[str, int]
) -> None:
    whole(run, {"a": "1"})
    whole(run, {"a": "1"}, **setting)
    code, out, _ = yofo("eval", "last", "--compare", "1", "2")
    assert code == 0 and "not like for like" in out
    assert next(iter(setting)) in out.split("not like for like")[0]
    record = json.loads(yofo("eval", "last", "--compare", "1", "2", "--json")[1])
    assert record["like_for_like"] is False and record["differences"]


def test_choices_are_compared_where_both_made_them(run: Run) -> None:
    def measured(shares: dict[str, float | None], **settings: Any) -> Content:
        kept = begun(run, dict.fromkeys(shares, "1"), **settings)
        for model in archive.MODELS:
            for name, share in shares.items():
                kept.add(model, replace(TASK, task=name, points=(Point(0, 0.0, 1.0, share),)))
        kept.finish()
        return kept.content

    first = measured({"a": 0.25, "b": 0.5, "c": None}, choice=True)
    second = measured({"a": 0.75, "b": None, "c": None}, choice=True, step=20)
    scores, choices = compare_evaluations(first, second).metrics
    assert (scores["metric"], scores["tasks"]) == ("f1", 3)
    assert (choices["metric"], choices["tasks"], choices["of"]) == ("choice", 1, 1)
    (row,) = choices["by_shots"]
    assert (row["base 1"], row["adapter 2"]) == (0.25, 0.75)
    before = {name: value for name, value in second.items() if name != "choices"}
    assert [one["metric"] for one in compare_evaluations(first, before).metrics] == ["f1"]


def test_those_of_other_runs_and_files_are_compared(yofo: Any, run: Run) -> None:
    whole(run, {"a": "1"}, 0.25)
    other = listing.create("other")
    other.recipe_path.touch()
    whole(other, {"a": "1"}, 0.75)
    file = str(next(other.evaluations_path.glob("*.json")))
    for second in (f"{other.run_id}:1", other.run_id, file):
        code, out, err = yofo("eval", run.run_id, "--compare", "1", second)
        assert code == 0, err
        assert "25.0" in out and "75.0" in out and "not like for like" not in out


def test_what_cannot_be_compared_says_why_and_what_there_is(yofo: Any, run: Run) -> None:
    whole(run, {"a": "1"})
    whole(run, {"b": "1"}, role="data")
    begun(run, {"a": "1"}, seed=7).add("base", TASK)
    for second, words in (
        ("2", "have no figures in common: a: only in the first"),
        ("3", "was cut off: it has no figures yet"),
        ("9", "9 is no evaluation of"),
        ("nowhere", "there is no run 'nowhere'"),
    ):
        code, out, err = yofo("eval", "last", "--compare", "1", second)
        assert code == 2 and out == "" and words in err and len(err.splitlines()) == 2


def test_a_damaged_file_is_not_listed(run: Run) -> None:
    whole(run, {"a": "1"})
    for number, text in enumerate(
        ("{", "[]", '{"asked": {"tasks": 7}, "measured": {}}', "\xff"), 2
    ):
        path = run.evaluations_path / f"{number:04d}-x.json"
        path.write_text(text, encoding="latin-1")
    assert [one.number for one in archive.listed(run)] == [1]


def test_an_option_that_would_be_idle_is_refused(yofo: Any, run: Run) -> None:
    code, _, err = yofo("eval", "last", "--list", "--data", "x.csv", "--family", "qa")
    assert code == 2 and "--list measures nothing: --data, --family" in err
