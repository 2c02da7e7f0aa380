"""Rows come back as they were written, and what cannot be read is named with its line."""

import csv
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
from yofo_mlx.tasks.problems import Problem
from yofo_mlx.tasks.reading.formats import DataFile, format_of
from yofo_mlx.tasks.reading.readers import read_rows
from yofo_mlx.tasks.reading.rows import Row

text = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
rows_of_values = st.lists(st.dictionaries(text, values, max_size=4), max_size=6)


def read(path: Path, records: str | None = None) -> tuple[list[Row], list[Problem]]:
    problems: list[Problem] = []
    return list(read_rows(DataFile(path, path.name), problems, records)), problems


def read_bytes(folder: Path, name: str, data: bytes, records: str | None = None) -> Any:
    (folder / name).write_bytes(data)
    return read(folder / name, records)


def fields(rows: list[Row]) -> list[dict[str, Any]]:
    return [row.fields for row in rows]


def lines(rows: list[Row]) -> list[int]:
    return [row.place.number for row in rows]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


@draws(40)
@given(rows_of_values, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_jsonl_reads_back_the_same(folder: Path, rows: Any, end: str, mark: bool) -> None:
    body = "".join(json.dumps(row, ensure_ascii=False) + end for row in rows)
    data = body.encode("utf-8-sig" if mark else "utf-8")
    found, problems = read_bytes(folder, "a.jsonl", data)
    assert fields(found) == rows and not problems
    assert lines(found) == list(range(1, len(rows) + 1))


@draws(40)
@given(rows_of_values, st.sampled_from([None, 0, 2]), st.sampled_from(["", "data", "a.b"]))
def test_json_reads_back_the_same_wherever_the_list_is(
    folder: Path, rows: Any, indent: int | None, path: str
) -> None:
    whole: Any = rows
    for key in reversed(path.split(".") if path else []):
        whole = {"before": {"x": [1]}, key: whole, "after": "x"}
    data = json.dumps(whole, indent=indent, ensure_ascii=False).encode()
    found, problems = read_bytes(folder, "a.json", data, path or None)
    assert fields(found) == rows and not problems
    starts = data.decode().split("\n")
    if indent is not None:
        assert all(starts[line - 1].strip().startswith("{") for line in lines(found))


@given(
    st.lists(st.lists(text, min_size=2, max_size=2), max_size=6),
    st.sampled_from([("a.csv", ","), ("a.tsv", "\t")]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_csv_reads_back_the_same(folder: Path, rows: Any, kind: Any, end: str) -> None:
    name, delimiter = kind
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["input", "output"], *rows])
    found, problems = read_bytes(folder, name, sink.getvalue().encode())
    assert [list(row.fields.values()) for row in found] == rows and not problems


@draws(40)
@given(st.lists(st.fixed_dictionaries({"a": text, "b": st.integers(-9, 9), "c": st.lists(text)})))
def test_parquet_reads_back_the_same(folder: Path, rows: Any) -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.int64()), ("c", pa.list_(pa.string()))])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "a.parquet")
    found, problems = read(folder / "a.parquet")
    assert fields(found) == rows and not problems
    assert [str(row.place) for row in found[:1]] == ["a.parquet: record 1"] * bool(rows)


def test_a_csv_row_is_named_by_the_line_it_starts_on(tmp_path: Path) -> None:
    data = b'text,label\n"two\nlines","a ""quoted"" word"\n\nplain,b\r\n"x\r\n\r\ny",c\nlast,d'
    found, problems = read_bytes(tmp_path, "a.csv", data)
    assert lines(found) == [2, 5, 6, 9] and not problems
    assert found[0].fields == {"text": "two\nlines", "label": 'a "quoted" word'}


def test_a_json_record_is_named_by_the_line_it_starts_on(tmp_path: Path) -> None:
    data = json.dumps({"canary": "x", "examples": [{"a": "1\n2"}, {"a": "3"}]}, indent=2).encode()
    found, problems = read_bytes(tmp_path, "a.json", data)
    assert lines(found) == [4, 7] and not problems


@pytest.mark.parametrize(
    ("name", "data", "line", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n{"a": 2}\n', 2, "not JSON: expecting value"),
        ("a.jsonl", b'{"a": 1}\n{"a": "x', 2, "unterminated string starting at column 7"),
        ("a.jsonl", b'{"a": 1}\n{"a": 1} {"b": 2}\n', 2, "something follows"),
        ("a.jsonl", b'{"a": 1}\n\n"text"\n', 3, "the row is text"),
        ("a.jsonl", b'{"a": 1}\n3\n', 2, "the row is a number"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xe9"}\n', 2, "not UTF-8 (byte 0xe9)"),
        ("a.jsonl", b'{"a": 1}\n\x00\x00\x00\n', 2, "NUL bytes"),
        ("a.jsonl", b'{"a": 1}\n{"a": "b\x00c"}\n', 2, "invalid control character"),
        ("a.jsonl", b"\n" + b"[" * 200_000 + b"\n", 2, "nested too deeply"),
        ("a.jsonl", b'{"a": ' + b"9" * 5000 + b"}\n", 1, "Exceeds the limit"),
        ("a.jsonl", '{"a": 1}\n'.encode("utf-16"), 0, "UTF-16"),
        ("a.json", b'[\n{"a": 1},\n{"a": }\n]', 3, "expecting value at column 7"),
        ("a.json", b'[\n{"a": 1},\n', 3, "expecting value"),
        ("a.json", b'[{"a": 1}]\n]', 2, "something follows"),
        ("a.json", b'[\n{"a": 1},\n{"a": "\xff"}]', 3, "not UTF-8 (byte 0xff)"),
        ("a.json", b'[{"a": 1},\n "text"]', 2, "the row is text"),
        ("a.json", b'{"x": [], "y": []}', 1, "several lists of rows: x, y"),
        ("a.json", b'{"x": 1}', 1, "no list of rows"),
        ("a.json", b'{"a": 1}\n{"a": }\n', 2, "not JSON"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", 3, "3 fields, but the first line names 2 columns"),
        ("a.csv", b"a,b\n1\n", 2, "1 field, but"),
        ("a.csv", b'a,b\n1,2\n"open,2\n3,4\n', 3, "a quoted field never ends"),
        ("a.csv", b'a,b\n"x"y,2\n', 2, "not CSV"),
        ("a.csv", b'a,b\n"x\n\xe9",2\n', 3, "not UTF-8 (byte 0xe9)"),
        ("a.csv", b"a,a\n1,2\n", 1, "two columns are named `a`"),
        ("a.csv", b"a,,\n1,2,3\n", 1, "two columns have no name"),
        ("a.parquet", b"not parquet", 0, "not readable as Parquet"),
        ("a.parquet", b"", 0, "not readable as Parquet"),
        ("a.xlsx", b"PK", 0, "unknown kind of file"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-12], 0, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, name: str, data: bytes, line: int, message: str
) -> None:
    _, problems = read_bytes(tmp_path, name, data)
    assert len(problems) == 1
    assert (problems[0].line, problems[0].severity) == (line, "error")
    assert message in problems[0].message and problems[0].hint


def test_reading_goes_on_after_a_bad_row(tmp_path: Path) -> None:
    data = b'{"a": 1}\nnope\n{"a": 2}\n\xff\n{"a": 3}\n'
    found, problems = read_bytes(tmp_path, "a.jsonl", data)
    assert lines(found) == [1, 3, 5]
    assert [problem.line for problem in problems] == [2, 4]


def test_records_lie_at_a_dotted_path(tmp_path: Path) -> None:
    data = json.dumps({"data": {"train": [["hi", "greet"]], "test": []}}).encode()
    found, problems = read_bytes(tmp_path, "a.json", data, "data.train")
    assert fields(found) == [{"0": "hi", "1": "greet"}] and not problems
    _, [problem] = read_bytes(tmp_path, "a.json", data, "data.dev")
    assert "data.dev" in problem.message and "data.train, data.test" in problem.hint


def test_a_json_file_of_lines_is_read_as_lines(tmp_path: Path) -> None:
    found, problems = read_bytes(tmp_path, "a.json", b'{"a": 1}\n{"a": 2}\n')
    assert lines(found) == [1, 2] and not problems


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.jsonl.gz"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    data = gzip.compress(b"") if name.endswith("gz") else b""
    assert read_bytes(tmp_path, name, data) == ([], [])


def test_long_lines_and_cells_are_read(tmp_path: Path) -> None:
    long = "x" * 3_000_000
    for name, data in (("a.csv", f"a,b\n{long},1\n"), ("a.jsonl", json.dumps({"a": long}))):
        [row], problems = read_bytes(tmp_path, name, data.encode())
        assert row.fields["a"] == long and not problems


def test_line_separators_inside_text_do_not_end_a_line(tmp_path: Path) -> None:
    rows = [{"a": "one\u2028two\x85three\x0cfour"}, {"a": "five"}]
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    found, problems = read_bytes(tmp_path, "a.jsonl", body.encode())
    assert fields(found) == rows and not problems


def test_a_missing_or_forbidden_file_is_a_problem(tmp_path: Path) -> None:
    _, [problem] = read(tmp_path / "none.jsonl")
    assert "No such file" in problem.message
    (tmp_path / "folder.csv").mkdir()
    _, [problem] = read(tmp_path / "folder.csv")
    assert "Is a directory" in problem.message
    if os.geteuid():
        (tmp_path / "locked.jsonl").write_text("{}")
        (tmp_path / "locked.jsonl").chmod(0)
        _, [problem] = read(tmp_path / "locked.jsonl")
        assert "Permission denied" in problem.message


def test_formats_are_told_by_the_end_of_the_name() -> None:
    assert format_of("TRAIN.JSONL") == ".jsonl"
    assert format_of("a.b.csv.gz") == ".csv"
    assert format_of("notes.txt") is None and format_of("a.parquet.gz") is None
