"""Every query with its answers: outcomes, files, confusions of labels."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.evaluation import archive, confusion
from yofo_mlx.evaluation.confusion import matrices, matrix, outside
from yofo_mlx.evaluation.report import table
from yofo_mlx.evaluation.rows import is_of_rows, outcome, outcomes, rows, write
from yofo_mlx.evaluation.scores import Point, QueryResult, TaskScores
from yofo_mlx.runs import listing
from yofo_mlx.tasks.task import Example, Task

NASTY = 'say "no",\nor \x1b[31m[/red] ü'
EXAMPLES = [Example("one", "up"), Example(NASTY, "down"), Example("three", "up")]
TASK = Task("arrows", "classification", tuple(EXAMPLES), labels=("up", "down"))
SCORES = TaskScores("arrows", "classification", "", "exact", 3, 0, 0, 99, 2, None, 0, "")


def results(*answers: str, choice: str | None = None) -> list[QueryResult]:
    return [
        QueryResult(float(answer == one.output), 1.0, choice, answer)
        for answer, one in zip(answers, EXAMPLES, strict=True)
    ]


def scores(first: list[QueryResult], second: list[QueryResult]) -> TaskScores:
    found = {"0/0": results("?", "?", "?"), "1/0": results("?", "?", "?")}
    points = (Point(0, 0.0, 1.0), Point(4, 0.5, 1.0))
    return replace(SCORES, points=points, results=found | {"0/4": first, "1/4": second})


@pytest.fixture
def content() -> Any:
    asked = {"tasks": {"arrows": {}}, "seed": 0, "evaluation": {"draws": 2}}
    kept = archive.begin(listing.create("measured"), asked, full=True)
    kept.add("base", scores(results("up", "up", "left"), results("up", "down", "up")))
    kept.add("adapter", scores(results("up", "down", "up"), results("down", "down", NASTY)))
    found = matrices(kept.content, [TASK], {"arrows": EXAMPLES})
    kept.finish(outcomes=outcomes(kept.content), confusion=found)
    return kept.content


@pytest.mark.parametrize(
    ("base", "adapter", "expected"),
    [
        (0.0, 1.0, "fixed"),
        (1.0, 0.0, "regressed"),
        (1.0, 1.0, "kept"),
        (0.0, 0.0, "still wrong"),
        (0.2, 0.5, "fixed"),
        (0.5, 0.5, "kept"),
    ],
)
def test_what_came_of_a_query_is_told_by_its_scores(
    base: float, adapter: float, expected: str
) -> None:
    assert outcome(base, adapter) == expected


def test_there_is_a_row_for_each_query_of_each_draw_at_the_most_shots(content: Any) -> None:
    found = [*rows(content, {"arrows": EXAMPLES})]
    assert [(row["draw"], row["query"]) for row in found] == [
        (draw, one.input) for draw in (0, 1) for one in EXAMPLES
    ]
    assert {row["shots"] for row in found} == {4}
    told = [row["outcome"] for row in found]
    assert told == ["kept", "fixed", "fixed", "regressed", "kept", "regressed"]
    assert found[2]["base"] == "left" and found[2]["adapter"] == "up"
    counts = {"fixed": 2, "regressed": 2, "kept": 2, "still wrong": 0}
    assert content["outcomes"] == {"arrows": counts}
    line = next(line for line in table(content, True).splitlines() if line.startswith("in all"))
    assert line.split() == ["in", "all", "2", "2", "2", "0"]


def test_a_choice_is_a_column_where_every_model_has_one(content: Any) -> None:
    some = results("up", "up", "up", choice="up")
    facts = json.loads(json.dumps([list(one) for one in some]))
    content["measured"]["base"]["arrows"]["results"]["0/4"] = facts
    queries = {"arrows": EXAMPLES}
    assert "base_choice" not in next(rows(content, queries))
    content["measured"]["adapter"]["arrows"]["results"]["0/4"] = facts
    assert next(rows(content, queries))["adapter_choice"] == "up"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_holds_the_texts_as_they_are(content: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    found = [*rows(content, {"arrows": EXAMPLES})]
    write(path, found)
    text = path.read_text("utf-8")
    if suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            read: list[dict[str, Any]] = [*csv.DictReader(file)]
        assert {type(value) for row in read for value in row.values()} == {str}
    else:
        read = [json.loads(line) for line in text.splitlines()]
        assert read == found
    assert [row["query"] for row in read] == [row["query"] for row in found]
    assert read[5]["adapter"] == NASTY
    assert is_of_rows(path)


def test_every_right_answer_is_told_where_a_task_has_several(content: Any, tmp_path: Path) -> None:
    right = {"arrows": {EXAMPLES[0]: ("upwards", "\u2191")}}
    found = [*rows(content, {"arrows": EXAMPLES}, right)]
    assert [one["also_right"] for one in found[:3]] == [["upwards", "\u2191"], [], []]
    assert "also_right" not in next(rows(content, {"arrows": EXAMPLES}, {"arrows": {}}))
    write(tmp_path / "rows.csv", found)
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["also_right"] == '["upwards", "\u2191"]'


def test_a_loss_that_is_no_number_leaves_json_readable(content: Any, tmp_path: Path) -> None:
    (found, *_) = rows(content, {"arrows": EXAMPLES})
    write(tmp_path / "rows.jsonl", [found | {"base_loss": float("nan")}])
    line = (tmp_path / "rows.jsonl").read_text("utf-8")
    assert json.loads(line, parse_constant=pytest.fail)["base_loss"] == "nan"
    assert is_of_rows(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("text", ['{"task": "sort", "input": "b a"}\n', '{"task": ', "[]", "\x00"])
def test_data_of_ones_own_is_not_taken_for_rows(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(text)
    assert not is_of_rows(path)


def test_a_file_of_something_else_is_told_from_one_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "intents.csv"
    path.write_text("text,label\na,b\n")
    assert not is_of_rows(path)
    path.write_text("")
    assert is_of_rows(path)
    write(path, [])
    assert is_of_rows(path) and path.read_text().startswith("task,shots,draw,query,expected")


def test_a_matrix_counts_every_answer_once() -> None:
    labels, expected = ("up", "down"), ["up", "up", "down", "down", "sideways"]
    counts = matrix(labels, expected, ["up", "down", " down ", "left", "up"])
    assert counts == [[1, 1, 0], [0, 1, 1]]
    assert outside(counts) == 0.25
    assert outside([]) == 0.0


def test_confusions_are_of_free_answers_where_they_are_written_out(content: Any) -> None:
    one = content["confusion"]["arrows"]
    assert (one["of"], one["shots"], one["labels"]) == ("answer", 4, ["up", "down"])
    assert one["base"] == [[3, 0, 1], [1, 1, 0]]
    text = "\n".join(confusion.lines(content))
    assert "up -> down 1, up -> (other) 1" in text
    assert "none of its labels: base 17 %, adapter 17 %" in text


def test_a_matrix_is_drawn_beside_the_picture(content: Any, tmp_path: Path) -> None:
    assert confusion.can_be_drawn(content) == ["arrows"]
    content["confusion"]["arrows"]["labels"] = ["$up$_{", "d\nown"]
    confusion.draw(content, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
