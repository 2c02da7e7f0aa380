"""No file, no row and no part of one is left out without a word."""

import gzip
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yofo_mlx.errors import DataError
from yofo_mlx.prompting.demonstrations import parse, read
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.sources import LoadedSource, load
from yofo_mlx.tasks.task import Example, Task

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
        ("test.jsonl.gz", gzip.compress(b'{"input": "z", "output": "a"}\n' * 9999, mtime=0)[:-20]),
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
    with pytest.raises(DataError, match=r"two (values|columns) are named `output`"):
        task(tmp_path, source=name)


def load_one(base: Path, name: str, text: str) -> list[LoadedSource]:
    (base / name).write_text(text, encoding="utf-8", newline="")
    return load(TaskSource(source=name), base)


def remarks(base: Path, texts: dict[str, str], **keys: Any) -> tuple[int, list[str]]:
    for name, text in texts.items():
        (base / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "set" / name).write_text(text)
    [loaded] = load(TaskSource(source="set", **keys), base)
    assert not loaded.problems
    return len(list(loaded.all_items())), [str(remark) for remark in loaded.remarks]


ALL = as_jsonl(ROWS)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"more.jsonl": ALL}, ["set: not read: more.jsonl"]),
        ({"test.jsonl.bz2": "BZh"}, ["set: not read: test.jsonl.bz2"]),
        ({"valid.txt": "a\tb\n", "about.txt": "a"}, ["set: not read: valid.txt"]),
        ({"de/train.jsonl": ALL, "fr/train.jsonl": ALL}, ["set: not read: de, fr"]),
        ({"about.json": "{}", "LICENSE": ""}, ["set: not read: about.json"]),
        ({"config.json": "{}", "notes.md": "", "scripts/run.py": ""}, []),
    ],
)
def test_files_of_a_folder_that_are_not_read_are_told(
    tmp_path: Path, more: dict[str, str], told: list[str]
) -> None:
    assert remarks(tmp_path, {"train.jsonl": ALL, **more}) == (9, told)


def test_files_that_a_recipe_does_not_name_are_not_told(tmp_path: Path) -> None:
    files = {"train.jsonl": ALL, "more.jsonl": ALL}
    assert remarks(tmp_path, files, splits={"train": "more"}) == (9, [])
    assert remarks(tmp_path, files, files={"train": "more.jsonl"}) == (9, [])


@pytest.mark.parametrize(
    ("pattern", "rows"),
    [
        ("*.jsonl", 1),
        ("**", 3),
        ("**/*.jsonl", 3),
        ("a/*", 1),
        ("a/**", 2),
        ("a/**/x.jsonl", 2),
        ("[!b]/x.jsonl", 1),
        ("[z-a]*.jsonl", None),
        ("[a-c]/?.jsonl", 1),
        ("a/x.jsonl", 1),
    ],
)
def test_the_patterns_of_a_card_reach_into_folders_as_on_the_hub(
    tmp_path: Path, pattern: str, rows: int | None
) -> None:
    card = f"---\nconfigs:\n- config_name: default\n  data_files: '{pattern}'\n---\n"
    files = {name: as_jsonl(ROWS[:1]) for name in ("x.jsonl", "a/x.jsonl", "a/b/x.jsonl")}
    if rows is None:
        with pytest.raises(AssertionError, match="no data files"):
            remarks(tmp_path, {"README.md": card, **files})
    else:
        assert remarks(tmp_path, {"README.md": card, **files}) == (rows, [])


def test_a_split_of_a_card_without_files_is_told(tmp_path: Path) -> None:
    card = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: train.jsonl
  - split: test
    path: test.jsonl.zst
---
"""
    files = {"README.md": card, "train.jsonl": ALL, "test.jsonl.zst": ""}
    assert remarks(tmp_path, files) == (9, ["set: no files of test, which its card names"])


@pytest.mark.parametrize(("one", "two"), [("input", "output"), ("output", "input")])
def test_lists_below_a_list_of_names_are_read_by_the_names(
    tmp_path: Path, one: str, two: str
) -> None:
    rows = [[one, two], *([row[one], row[two]] for row in ROWS)]
    [loaded] = load_one(tmp_path, "a.json", json.dumps(rows))
    assert [item.example.input for item in loaded.all_items()] == [row["input"] for row in ROWS]
    assert [remark.message for remark in loaded.remarks] == ["the first list names the columns"]


def test_dates_and_decimals_of_a_table_are_answers(tmp_path: Path) -> None:
    days = [date(2020, 1, 31), date(2021, 2, 1)]
    table = pa.table({"text": ["a", "b"], "day": days, "sum": [Decimal("1.50"), Decimal("2.00")]})
    pq.write_table(table, tmp_path / "a.parquet")
    [loaded] = load(TaskSource(source="a.parquet", input="{text} {day}", output="sum"), tmp_path)
    assert [item.example for item in loaded.all_items()] == [
        Example("a 2020-01-31", "1.50"),
        Example("b 2021-02-01", "2.00"),
    ]


@pytest.mark.parametrize("mark", [";", ",", "|"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_what_excel_says_of_separators_is_no_header(tmp_path: Path, mark: str, start: str) -> None:
    lines = [f"sep={mark}", f"text{mark}label", f'"a{mark} b"{mark}x', f"c{mark}y", "d"]
    text = start + "\r\n".join(lines)
    [loaded] = load_one(tmp_path, "a.csv", text)
    expected = [Example(f"a{mark} b", "x"), Example("c", "y")]
    assert [item.example for item in loaded.all_items()] == expected
    assert [problem.line for problem in loaded.problems] == [5]
    assert list(parse(text).examples) == expected


def test_what_each_file_says_before_all_its_rows_is_shown_with_them(tmp_path: Path) -> None:
    for name in ("French", "German"):
        row = {"prompt": f"to {name}", "completion": "x", "system": f"Answer in {name}."}
        (tmp_path / f"{name}.jsonl").write_text(as_jsonl([row]))
    shown = read("*.jsonl", base=tmp_path)
    assert [one.input for one in shown.examples] == [
        "Answer in French.\n\nto French",
        "Answer in German.\n\nto German",
    ]
    assert shown.instruction == ""
    one = read("F*.jsonl", base=tmp_path)
    assert (one.instruction, one.examples[0].input) == ("Answer in French.", "to French")


def test_some_lists_among_single_labels_are_told(tmp_path: Path) -> None:
    labels = [["a", "b"], "a", "b", ["a", "b"], "a", "b"]
    rows = [{"text": f"t {n}", "label": label} for n, label in enumerate(labels)]
    [loaded] = load_one(tmp_path, "a.jsonl", as_jsonl(rows))
    assert loaded.family == "classification"
    assert [str(one) for one in check(loaded)] == [
        "a.jsonl:1: 2 answers are lists, joined to one label each"
    ]


def test_lists_beside_those_of_the_splits_are_told(tmp_path: Path) -> None:
    pairs = [["a", "x"], ["b", "y"]]
    (tmp_path / "all.json").write_text(json.dumps({"train": pairs, "dev": pairs, "oos": pairs}))
    (tmp_path / "more.json").write_text(json.dumps({"names": ["x"]}))
    [loaded] = load(TaskSource(source=str(tmp_path), records="{split}"), tmp_path)
    [told] = [problem.message for problem in loaded.remarks]
    assert told == f"not read: {tmp_path / 'more.json'}, oos"
    chosen = TaskSource(source=str(tmp_path), records="{split}", splits={"train": "oos"})
    assert not load(chosen, tmp_path)[0].remarks
