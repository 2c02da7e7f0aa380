"""The report: what it says of each task, and pictures."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tui.runs.follow import metrics_of
from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.archive import Content
from yofo_mlx.evaluation.report import draw, table
from yofo_mlx.evaluation.scores import Point, TaskScores
from yofo_mlx.runs import listing

TASK = TaskScores("", "classification", "", "exact", 4, 0, 0, 900, 1, None, 0, "")


def scores(name: str, reach: int, gain: float, **facts: Any) -> TaskScores:
    points = [Point(shots, gain * shots, 1.0) for shots in (0, 2, 8) if shots <= reach]
    return replace(TASK, task=name, points=tuple(points), **facts)


def tasks(gain: float) -> list[TaskScores]:
    return [
        *(scores(f"topic-{n}", 8, gain, kind="topic") for n in (1, 2)),
        scores("banking77", 2, gain),
        scores("banking", 2, gain),
        scores("xlsum_test_500", 8, gain, metric="rouge", family="summarization", answer_limit=99),
        scores("silent", -1, gain, queries=0, passed_over=8, reason="none of its 8 queries fits"),
        scores("cut", 2, gain, metric="number", family="math", answer_limit=128, cut=3),
    ]


@pytest.fixture
def content() -> Content:
    run = listing.create("measured")
    names = {one.task: {} for one in tasks(0.0)}
    asked = {"tasks": names, "seed": 0, "evaluation": {"draws": 1}}
    kept = archive.begin(run, asked, full=True)
    for model, gain in (("base", 0.0), ("adapter", 0.1)):
        for one in tasks(gain):
            kept.add(model, one)
    kept.finish()
    return kept.content


def line_of(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(name + " "))
    return [word for word in line.split() if not word.startswith("±")]


def test_names_keep_their_digits_and_only_declared_kinds_share_a_line(content: Content) -> None:
    text = table(content)
    head = ["classification", "exact"]
    assert line_of(text, "topic") == ["topic", *head, "2", "8", "8", "0.0", "80.0"]
    assert line_of(text, "banking77") == ["banking77", *head, "1", "4", "2", "0.0", "20.0"]
    assert text.count("±") > 20 and line_of(text, "banking")[-3:] == ["2", "0.0", "20.0"]
    assert line_of(text, "xlsum_test_500")[1:3] == ["summarization", "rouge"]


def test_a_task_without_scores_is_listed_with_its_reason(content: Content) -> None:
    text = table(content)
    assert line_of(text, "silent")[-3:] == ["-", "-", "-"]
    assert "1 of 7 cannot be measured (silent: none of its 8 queries fits)" in text
    assert "cut by evaluation.max_answer_tokens = 128" in text and "(cut: 3 of 4)" in text


def test_each_metric_has_its_own_means_with_tasks_and_spread(content: Content) -> None:
    text = table(content)
    titles = re.findall(r"^(.+) on held-out tasks, in percent$", text, re.MULTILINE)
    assert titles == ["Exact match", "ROUGE-L", "Right number"]
    exact = text.split("ROUGE-L")[0]
    assert re.search(r"^ +2 +0\.0 ±\d+\.\d +20\.0 ±\d+\.\d +4 of 5$", exact, re.MULTILINE)
    assert "the 2 tasks that were measured up to 8 shots" in exact
    assert "4 queries a task, draws of demonstrations: 1, seed 0" in text


def test_the_picture_joins_points_of_the_same_tasks_only(content: Content, tmp_path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from yofo_mlx.evaluation.report import _draw_metric

    figure, axes = pyplot.subplots()
    _draw_metric(axes, content["metrics"][0], ("base", "adapter"), "held-out tasks")
    drawn = [list(map(round, line.get_ydata())) for line in axes.get_lines()]
    pyplot.close(figure)
    assert drawn == [[0, 0], [0, 0], [20, 80], [0, 20]]


def test_table_app_and_file_say_the_same(content: Content) -> None:
    text = table(content).split("ROUGE-L")[0]
    found = re.findall(r"^ +(\d+) +(\S+) ±\S+ +(\S+) ±\S+ +\d of 5$", text, re.MULTILINE)
    exact = content["metrics"][0]
    rows = [*exact["by_shots"], *exact["others"][0]["by_shots"][-2:]]
    assert [(int(shots), base, adapter) for shots, base, adapter in found] == [
        (row["shots"], f"{100 * row['base']:.1f}", f"{100 * row['adapter']:.1f}") for row in rows
    ]
    name, curves = metrics_of(content)[0]
    drawn = {curve.name: curve.points for curve in curves}
    assert name == "exact"
    assert drawn["adapter exact"] == tuple((row["shots"], row["adapter"]) for row in rows[:2])
    assert drawn["adapter, 2 of 5 tasks exact"] == tuple(
        (r["shots"], r["adapter"]) for r in rows[2:]
    )


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_the_picture_is_of_the_kind_its_name_says(
    content: Content, tmp_path: Path, name: str, start: bytes
) -> None:
    draw(content, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_what_is_told_beside_a_score_has_a_line_without_a_margin() -> None:
    kept = archive.begin(
        listing.create("labels"),
        {"tasks": {"emotions": {}}, "seed": 0, "evaluation": {"draws": 1}},
        full=True,
    )
    for model, gain in (("base", 0.0), ("adapter", 0.1)):
        one = scores("emotions", 2, gain, metric="f1", family="multilabel")
        points = [replace(point, beside={"macro_f1": 2 * point.score}) for point in one.points]
        kept.add(model, replace(one, points=tuple(points)))
    kept.finish()
    line = next(line for line in table(kept.content).splitlines() if "macro_f1" in line)
    assert line.split() == "emotions multilabel macro_f1 1 4 2 0.0 40.0".split()
    found = archive.read(kept.path)["measured"]["adapter"]["emotions"]["points"]
    assert [point["beside"] for point in found] == [{"macro_f1": 0.0}, {"macro_f1": 0.4}]
