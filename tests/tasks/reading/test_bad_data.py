"""Whatever a file holds, reading it ends in examples and problems, never in a traceback."""

import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.commands import data
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.errors import DataError, ExitCode
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.sources import LoadedSource, load

ROWS = [{"input": f"in {n} é", "output": "ab"[n % 2], "more": {"x": [n]}} for n in range(9)]
NAMES = ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz", "a.csv.gz"]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
names = st.sampled_from(["input", "output", "text", "label", "messages", "context", "answers"])


def valid_bytes(name: str) -> bytes:
    if name.endswith(".parquet"):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(ROWS), sink)
        return sink.getvalue()
    mark = "\t" if "tsv" in name else ","
    cells = [[row["input"], row["output"]] for row in ROWS]
    body = {
        "jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS),
        "json": json.dumps(ROWS),
        "csv": "".join(mark.join(map(str, row)) + "\n" for row in [["input", "output"], *cells]),
    }["csv" if "sv" in name else "jsonl" if "jsonl" in name else "json"].encode()
    return gzip.compress(body) if name.endswith(".gz") else body


def read(folder: Path, name: str, content: bytes, **keys: Any) -> LoadedSource:
    (folder / name).write_bytes(content)
    [loaded] = load(TaskSource(source=name, **keys), folder)
    check(loaded)
    return loaded


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad")


@given(st.sampled_from(NAMES), st.binary(max_size=200))
def test_any_bytes_are_examples_or_problems(folder: Path, name: str, content: bytes) -> None:
    loaded = read(folder, name, content)
    assert loaded.problems or any(loaded.items.values())


@draws(200)
@given(st.sampled_from(NAMES), st.data())
def test_a_damaged_file_is_examples_or_problems(folder: Path, name: str, draw: Any) -> None:
    content = bytearray(valid_bytes(name))
    for _ in range(draw.draw(st.integers(0, 4))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.integers(0, len(content)))
    loaded = read(folder, name, bytes(content[:end]))
    assert loaded.problems or any(loaded.items.values())


@given(st.lists(st.dictionaries(names, values, max_size=4), min_size=1, max_size=4))
def test_any_row_is_an_example_or_a_problem(folder: Path, rows: Any) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    loaded = read(folder, "a.jsonl", content)
    for item in loaded.all_items():
        assert item.example.input.strip() and item.example.output.strip()
        (item.example.input + item.example.output).encode()
    assert loaded.problems or any(loaded.items.values())


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_template_and_column_name_is_taken_or_named(folder: Path, one: str, two: str) -> None:
    read(folder, "a.jsonl", valid_bytes("a.jsonl"), input=one, output=two)


@pytest.mark.parametrize("name", NAMES)
def test_undamaged_files_are_read_whole(folder: Path, name: str) -> None:
    loaded = read(folder, name, valid_bytes(name))
    assert len(loaded.items["train"]) == 9 and not loaded.problems


@pytest.mark.parametrize(
    "source", ["x" * 5000 + ".csv", "a\0b.csv", "", ".", "..", "a/b/c", "~~/x", "*", "a**/*", "[*"]
)
def test_strange_paths_are_data_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        load_tasks([TaskSource(source=source)], 0, tmp_path / "none")
    assert caught.value.hint


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        load_tasks([TaskSource(source="a.jsonl")], 0, tmp_path)


def test_links_in_a_folder_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(valid_bytes("a.csv"))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.csv").symlink_to(tmp_path / "real")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    [entry] = load_tasks([TaskSource(source="set")], 0, tmp_path)
    assert len(entry.task.train) == 8


def test_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"nope\n" + valid_bytes("a.jsonl"))
    before = sorted(tmp_path.rglob("*"))
    assert data.check(DataRequest([str(tmp_path)])) == ExitCode.DATA
    assert data.preview(DataRequest([str(tmp_path)])) == ExitCode.DATA
    assert sorted(tmp_path.rglob("*")) == before
