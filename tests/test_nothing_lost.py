"""No file, no row and no part of one is left out without a word."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yofo_mlx.errors import DataError
from yofo_mlx.recipe import TaskSource
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.task import Task

ROWS = [{"input": f"in {n}", "output": "ab"[n % 2]} for n in range(9)]


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def task(base: Path, **keys: Any) -> Task:
    [found] = load_tasks([TaskSource.model_validate(keys)], 0, base)
    return found.task


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test.jsonl", b'{"sentence": "z", "output": "a"}\n' * 3),
        ("test.json", b'[{"input": "z", "output": "a"}, {"input": "y", "out'),
        ("test.csv", b'input,output\nz,a\n"y,a\nx,b\nw,a\n'),
        ("test.jsonl.gz", gzip.compress(b'{"input": "z", "output": "a"}\n' * 9999)[:-20]),
        ("test.csv", b"PK\x03\x04"),
    ],
)
def test_dropping_bad_rows_does_not_drop_a_file(tmp_path: Path, name: str, content: bytes) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text(as_jsonl(ROWS))
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        task(tmp_path, source="set", bad_rows="drop")


def test_a_bad_row_is_dropped_where_the_others_are_not_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text(as_jsonl(ROWS))
    (folder / "test.jsonl").write_bytes(b'{"input": "z", "output": "not chosen"}\n{"inp')
    where = {"output": ["a", "b"]}
    found = task(tmp_path, source="set", bad_rows="drop", where=where)
    assert len(found.train) + len(found.valid) == 9


def columns_named_alike(name: str) -> bytes:
    table = pa.table([["a"], ["x"], ["y"]], names=["input", "output", "output"])
    sink = io.BytesIO()
    if name.endswith(".parquet"):
        pq.write_table(table, sink)
    elif name.endswith(".arrow"):
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        row = '{"input": "a", "output": "x", "output": "y"}'
        sink.write((row if name.endswith("l") else f"[{row}]").encode())
    return sink.getvalue()


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet", "a.arrow"])
def test_of_two_values_of_one_name_none_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(columns_named_alike(name))
    with pytest.raises(DataError, match="two (values|columns) are named `output`"):
        task(tmp_path, source=name)
