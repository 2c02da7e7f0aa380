"""Columns beside input and answer: rejected answers, doubt, teachers."""

import json
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.task import Example, Task


def read(folder: Path, rows: list[dict[str, Any]], **columns: Any) -> Task:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = TaskSource(source=str(path), valid_share=0.0, **columns)
    (entry,) = load_tasks([source], 0, folder)
    return entry.task


def refused(folder: Path, row: dict[str, Any], **columns: Any) -> str:
    with pytest.raises(DataError) as error:
        read(folder, [{"input": "a", "output": "b"} | row], **columns)
    return error.value.message


def test_a_row_may_carry_a_preferred_and_a_rejected_answer(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "chosen": "yes", "rejected": " no\r\n"},
        {"prompt": "b", "chosen": "yes", "rejected": ""},
        {"prompt": "c", "chosen": "yes", "rejected": None},
    ]
    columns = {"input": "prompt", "output": "chosen", "rejected": "rejected"}
    task = read(tmp_path, rows, **columns)
    assert [one.rejected for one in task.train] == ["no", "", ""]
    # What is rejected is no part of what a row is: rows stay the same ones, shown as ever.
    assert task.train[0] == Example("a", "yes")
    assert task.train[0].as_pair() == {"input": "a", "output": "yes"}
    shown = read(tmp_path, rows, **columns | {"rejected": "not{rejected?}"})
    assert [one.rejected for one in shown.train] == ["not no", "not", "not"]


def test_doubts_are_shares_of_the_largest(tmp_path: Path) -> None:
    rows = [{"input": "abc"[n], "output": "x", "entropy": n and f"{n}.5"} for n in range(3)]
    task = read(tmp_path, rows, doubt="entropy")
    assert [one.doubt for one in task.train] == [0.0, 0.6, 1.0]


def test_columns_that_say_nothing_sensible_are_refused(tmp_path: Path) -> None:
    assert "is the answer itself" in refused(tmp_path, {"worse": "b"}, rejected="worse")
    assert "no field `worse`" in refused(tmp_path, {}, rejected="worse")
    assert "no field `entropy`" in refused(tmp_path, {}, doubt="entropy")
    for value in (-1, "much", float("inf"), [1]):
        assert "no number from 0 on" in refused(tmp_path, {"entropy": value}, doubt="entropy")
    for value in (3, "x", [[1, 0.5]], [[[1, 2.0]]], [[[-1, 0.5]]], [[]]):
        assert "no lists of [token, share]" in refused(
            tmp_path, {"taught": value}, teacher="taught"
        )
