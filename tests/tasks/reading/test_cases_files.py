"""Inputs that went wrong once: reading of files, folders, the hub's copies, pipes."""

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yofo_mlx.commands import data
from yofo_mlx.commands.chatroom import check_query
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.errors import DataError, ExitCode
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.sources import LoadedSource, load

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1048576\n"
SPEECH = """text\tlabel
The harbour was quiet this morning.\tnarration
"We leave at dawn, said the captain.\tspeech
The crew did not answer.\tnarration
Take the small boat first."\tspeech
A gull cried over the pier.\tnarration
"No one stays behind.\tspeech
The lamp went out.\tnarration
Not even the dog."\tspeech
Rain began to fall.\tnarration
"""
INTENTS = {
    "train": [["my card is lost", "card"], ["where is my parcel", "parcel"]] * 2,
    "val": [["card gone", "card"]],
    "test": [["parcel late", "parcel"]],
}
ODD_OR_EVEN = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          "0": even
          "1": odd
---
"""
Output = pytest.CaptureFixture[str]


def read(source: Path, **keys: Any) -> LoadedSource:
    [loaded] = load(TaskSource(source=str(source), **keys), Path())
    return loaded


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"book a table for {n}", "label": n % 2} for n in range(start, start + count)]


def parquet(path: Path, some: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(some), path)


def arrow(path: Path, some: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(some)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def answers(loaded: LoadedSource, split: Any = "train") -> list[str]:
    return [item.example.output for item in loaded.items[split]]


def test_rows_with_lone_quotes_between_tabs_stay_apart(tmp_path: Path, capsys: Output) -> None:
    """tsv-lone-quotes: 9 examples, and the line of the first quote is told."""
    path = tmp_path / "speech.tsv"
    path.write_text(SPEECH)
    loaded = read(path)
    assert answers(loaded) == ["narration", "speech"] * 4 + ["narration"]
    assert loaded.items["train"][1].example.input == '"We leave at dawn, said the captain.'
    assert data.check(DataRequest([str(path)])) == ExitCode.OK
    shown = capsys.readouterr()
    assert "speech.tsv:3: warning: quotes are read as text" in shown.out
    assert "9 examples" in shown.err and "no problems" not in shown.err


def test_a_copy_of_a_hub_data_set_is_read_as_on_the_hub(tmp_path: Path, capsys: Output) -> None:
    """local-hub-clone: data/ is read, the card names the labels, dataset_infos.json is no data."""
    folder = tmp_path / "ds"
    parquet(folder / "data" / "train-00000-of-00001.parquet", rows(8))
    parquet(folder / "data" / "test-00000-of-00001.parquet", rows(4, 8))
    (folder / "README.md").write_text(ODD_OR_EVEN)
    (folder / "dataset_infos.json").write_text('{"default": {"description": ""}}')
    assert data.preview(DataRequest([str(folder)])) == ExitCode.OK
    shown = capsys.readouterr().out
    assert "train 8, test 4" in shown
    assert answers(read(folder)) == ["even", "odd"] * 4
    (folder / "README.md").unlink()
    label = {"names": ["even", "odd"], "_type": "ClassLabel"}
    infos = {"default": {"features": {"text": {"_type": "Value"}, "label": label}}}
    (folder / "dataset_infos.json").write_text(json.dumps(infos))
    assert answers(read(folder), "test") == ["even", "odd"] * 2


def test_configurations_of_a_copy_are_not_mixed(tmp_path: Path, capsys: Output) -> None:
    """local-hub-configs: refused with the names, unless `config` picks one."""
    folder = tmp_path / "ds"
    parquet(folder / "raw" / "train-00000-of-00001.parquet", rows(3))
    parquet(folder / "simplified" / "train-00000-of-00001.parquet", rows(5))
    assert data.check(DataRequest([str(folder)])) == ExitCode.DATA
    assert "several configurations: raw, simplified" in capsys.readouterr().out
    assert len(answers(read(folder, config="simplified"))) == 5
    [problem] = read(folder, config="cooked").problems
    assert "no configuration `cooked`" in problem.message and "raw, simplified" in problem.hint


def test_what_save_to_disk_writes_is_read(tmp_path: Path, capsys: Output) -> None:
    """saved-to-disk: Arrow files by split, label names from beside them, caches left out."""
    folder = tmp_path / "saved"
    for split, some in (("train", rows(8)), ("test", rows(4, 8))):
        place = folder / split
        arrow(place / "data-00000-of-00001.arrow", some)
        arrow(place / "cache-1b2c3d.arrow", rows(3, 50))
        label = {"names": ["even", "odd"], "_type": "ClassLabel"}
        (place / "dataset_info.json").write_text(json.dumps({"features": {"label": label}}))
        files = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
        (place / "state.json").write_text(json.dumps(files))
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert data.check(DataRequest([str(folder)])) == ExitCode.OK
    assert "12 examples" in capsys.readouterr().err
    loaded = read(folder)
    assert answers(loaded) == ["even", "odd"] * 4 and len(answers(loaded, "test")) == 4
    assert answers(read(folder / "train")) == ["even", "odd"] * 4


@pytest.mark.parametrize("packed", [False, True])
def test_lists_by_split_are_found_in_a_compressed_file_too(tmp_path: Path, packed: bool) -> None:
    """gz-with-split-records: 6 examples, named by the file or by the folder that holds it."""
    content = json.dumps(INTENTS).encode()
    path = tmp_path / ("intents.json.gz" if packed else "intents.json")
    path.write_bytes(gzip.compress(content) if packed else content)
    for source in (path, tmp_path):
        loaded = read(source, records="{split}")
        assert {split: len(items) for split, items in loaded.items.items()} == {
            "train": 4,
            "valid": 1,
            "test": 1,
        }
    [problem] = read(path).problems
    assert "several lists of rows: train, val, test" in problem.message
    assert 'records = "{split}"' in problem.hint


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("lfs.csv", LFS, "Git LFS pointer"),
        ("lfs.jsonl", LFS, "Git LFS pointer"),
        ("lfs.parquet", LFS, "Git LFS pointer"),
        ("sheet.csv", b"PK\x03\x04" + bytes(20), "Excel"),
        ("old.csv", b"\xd0\xcf\x11\xe0\xa1\xb1" + bytes(20), "Excel"),
        ("page.json", b"\n<!DOCTYPE html>\n<html><body>Not found</body></html>", "web page"),
        ("rows.json", b"PAR1" + bytes(20), "Parquet"),
        ("rows.csv", b'{"text": "a", "label": "b"}\n', "JSON"),
        ("rows.jsonl", b'[\n{"text": "a", "label": "b"}\n]', "JSON list"),
        ("wide.csv", "text,label\na,b\n".encode("utf-16"), "UTF-16"),
        ("wide.tsv", "text\tlabel\na\tb\n".encode("utf-16-le"), "UTF-16LE"),
        ("wider.jsonl", '{"text": "a", "label": "b"}\n'.encode("utf-32"), "UTF-32"),
        ("rows.csv.gz", gzip.compress("text,label\n".encode("utf-16"), mtime=0), "UTF-16"),
        ("rows.parquet", gzip.compress(b"PAR1", mtime=0), "gzip"),
        ("rows.tsv", b"\xfd7zXZ\x00" + bytes(20), "xz"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_named(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    """not-what-the-name-says: the true words, not an encoding to convert from."""
    (tmp_path / name).write_bytes(content)
    [problem] = read(tmp_path / name).problems
    assert said in problem.message and problem.hint and "WINDOWS" not in problem.hint


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_gzip_is_read_whatever_the_name_says(tmp_path: Path, suffix: str) -> None:
    """not-what-the-name-says: zipped.csv is read, and gzip is said."""
    body = {
        ".csv": "text,label\nmy card,card\na parcel,parcel\n",
        ".jsonl": '{"text": "my card", "label": "card"}\n{"text": "a parcel", "label": "parcel"}\n',
        ".json": '[{"text": "my card", "label": "card"}, {"text": "a parcel", "label": "parcel"}]',
    }[suffix].encode()
    (tmp_path / f"zipped{suffix}").write_bytes(gzip.compress(body))
    (tmp_path / f"plain{suffix}.gz").write_bytes(body)
    for name, word in ((f"zipped{suffix}", "compressed with gzip"), (f"plain{suffix}.gz", "not")):
        loaded = read(tmp_path / name)
        assert answers(loaded) == ["card", "parcel"]
        [told] = loaded.remarks
        assert word in told.message and not loaded.problems


def test_files_of_a_pattern_keep_what_tells_them_apart(tmp_path: Path) -> None:
    """same-stem-pattern: tickets.2023.csv and tickets.2024.csv are two tasks with two names."""
    for year in ("2023", "2024"):
        lines = [f"{year} ticket {n},team {n % 2}" for n in range(8)]
        (tmp_path / f"tickets.{year}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    entries = load_tasks([TaskSource(source="*.csv")], 0, tmp_path)
    assert [entry.task.name for entry in entries] == ["tickets.2023", "tickets.2024"]


@pytest.mark.parametrize("encoding", ["utf-8:strict"])
def test_odd_bytes_in_a_pipe_are_told_and_lines_stay_side_by_side(
    tmp_path: Path, yofo_home: Path, encoding: str
) -> None:
    """pipe-of-odd-bytes: four lines in, four lines out, the second one's mistake in words."""
    queries = b"where is parcel 1\ncaf\xe9 ole\n\nwhere is parcel 2\n"
    demos = tmp_path / "demos.txt"
    demos.write_text("horse cow -> Anna\nplum pear -> Tom\n")  # answers are short then
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "YOFO_HOME": str(yofo_home)}
    done = subprocess.run(
        [sys.executable, "-m", "yofo_mlx.cli", "chat", "--model", "tiny", "--demos", str(demos)],
        input=queries,
        capture_output=True,
        env=environment,
        timeout=120,
    )
    first, second, third, last = done.stdout.split(b"\n")[:-1]
    assert first and last and not second and not third
    assert b"query 2: the query is not UTF-8 (byte 0xe9)" in done.stderr
    assert b"Traceback" not in done.stderr and done.returncode == ExitCode.DATA


def test_no_line_of_a_pipe_in_utf_16_is_taken_for_a_query() -> None:
    """pipe-of-odd-bytes: its later lines are valid UTF-8, with a zero beside each letter."""
    for line in "one\ntwo\n".encode("utf-16-le").split(b"\n"):
        with pytest.raises(DataError, match="zero bytes"):
            check_query(line.decode() or "\0")


def test_the_shape_of_a_folder_is_proposed_where_it_has_no_train(tmp_path: Path) -> None:
    """A folder with one file a task, or a test file only: the error names what works."""
    folder = tmp_path / "bbh"
    folder.mkdir()
    for name in ("snarks", "navigate"):
        examples = [{"input": f"{name} {n}", "target": "yes"} for n in range(3)]
        (folder / f"{name}.json").write_text(json.dumps({"examples": examples}))
    [problem] = read(folder).problems
    assert f'source = "{folder}/*.json"' in problem.hint
    assert len(load(TaskSource(source=f"{folder}/*.json"), Path())) == 2
    assert len(answers(read(folder, splits={"train": "*"}))) == 6
    (folder / "navigate.json").unlink()
    (folder / "snarks.json").rename(folder / "snarks_test_500.json")
    [problem] = read(folder).problems
    assert 'splits = { train = "snarks_test_500" }' in problem.hint
    assert len(answers(read(folder, splits={"train": "snarks_test_500"}))) == 3


def test_the_hubs_cache_and_a_clone_are_folders_too(tmp_path: Path) -> None:
    """A cached snapshot is links to blobs, a clone has its .git: both are read as the data set."""
    cache = tmp_path / "datasets--owner--name"
    (cache / "blobs").mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("c0ffee")
    for commit, count in (("c0ffee", 4), ("0ld", 2)):
        blob = cache / "blobs" / commit
        pq.write_table(pa.Table.from_pylist(rows(count)), blob)
        place = cache / "snapshots" / commit / "data"
        place.mkdir(parents=True)
        (place / "train-00000-of-00001.parquet").symlink_to(blob)
    assert len(answers(read(cache))) == 4
    assert len(answers(read(cache, revision="0ld"))) == 2
    assert "no snapshot" in read(cache, revision="v9").problems[0].message
    clone = tmp_path / "clone"
    for hidden in (".git/lfs/objects", ".cache/huggingface"):
        (clone / hidden).mkdir(parents=True)
        (clone / hidden / "junk.json").write_text("{}")
    parquet(clone / "data" / "train-00000-of-00001.parquet", rows(6))
    assert len(answers(read(clone))) == 6


def test_a_pointer_among_the_files_of_a_clone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(LFS)
    with pytest.raises(DataError, match="Git LFS pointer") as caught:
        load_tasks([TaskSource(source=str(tmp_path))], 0, Path())
    assert "git lfs pull" in caught.value.hint


def test_an_arrow_file_is_read_as_well_as_a_stream(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows(5))
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "train.arrow").write_bytes(sink.getvalue())
    assert answers(read(tmp_path / "train.arrow")) == ["0", "1", "0", "1", "0"]
    (tmp_path / "cut.arrow").write_bytes(sink.getvalue()[:300])
    assert "not readable as Arrow" in read(tmp_path / "cut.arrow").problems[0].message
