"""Data sets from a hub: the real client against a stand-in on the loopback interface."""

import gzip
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants, snapshot_download

from tests.hub_server import HubServer, files_of, hub_fixture  # noqa: F401
from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.task import Task

HERE = Path(__file__).parent


def parquet(rows: list[dict[str, Any]], names: dict[str, list[str]] | None = None) -> bytes:
    """Return a Parquet file, with label names where the hub's writer would leave them."""
    table = pa.Table.from_pylist(rows)
    if names:
        features = {
            column: {"names": some, "_type": "ClassLabel"} for column, some in names.items()
        }
        head = json.dumps({"info": {"features": features}}).encode()
        table = table.replace_schema_metadata({b"huggingface": head})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def jsonl(count: int, start: int = 0) -> bytes:
    rows = [{"input": f"in {n}", "output": f"out {n}"} for n in range(start, start + count)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def load_one(**keys: Any) -> Task:
    [entry] = load_tasks([TaskSource(**keys)], 0, Path())
    return entry.task


def refusal(**keys: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load_one(**keys)
    assert caught.value.hint
    return caught.value


def test_shards_of_parquet_are_joined_and_class_numbers_become_names(hub: HubServer) -> None:
    names = {"label": ["negative", "positive"]}
    shard = [{"text": f"film {n}", "label": n % 2} for n in range(4)]
    more = [{"text": f"film {n}", "label": n % 2} for n in range(4, 8)]
    test = [{"text": "other film", "label": 1}]
    hub.add(
        "dataset",
        "owner/films",
        {
            "README.md": b"# no head\n",
            "data/train-00000-of-00002.parquet": parquet(shard, names),
            "data/train-00001-of-00002.parquet": parquet(more, names),
            "data/test-00000-of-00001.parquet": parquet(test, names),
            "loader.py": b"raise SystemExit('never run')",
        },
    )
    task = load_one(source="owner/films", family="classification", valid_share=0.0)
    assert [example.output for example in task.train] == ["negative", "positive"] * 4
    assert task.test[0].output == "positive"
    assert task.labels == ("negative", "positive")
    assert not any("loader.py" in line for line in hub.log if "resolve" in line)


def test_the_card_tells_the_files_of_each_configuration(hub: HubServer) -> None:
    card = """---
configs:
- config_name: easy
  data_files:
  - split: train
    path: easy/train-*
- config_name: hard
  data_files:
  - split: train
    path: hard/*.jsonl
---
"""
    files = {"README.md": card.encode(), "easy/train-0.jsonl": jsonl(3), "hard/x.jsonl": jsonl(5)}
    hub.add("dataset", "owner/two", files)
    task = load_one(source="owner/two", config="hard", valid_share=0.0)
    assert (task.name, len(task.train)) == ("two/hard", 5)
    error = refusal(source="owner/two")
    assert "easy, hard" in error.message and "config" in error.hint
    assert "easy, hard" in refusal(source="owner/two", config="harder").hint


def test_the_card_names_the_labels_of_csv_files(hub: HubServer) -> None:
    card = b"""---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': sad
          '1': glad
---
"""
    hub.add("dataset", "owner/mood", {"README.md": card, "train.csv": b"text,label\nhm,0\nha,1\n"})
    task = load_one(source="owner/mood", valid_share=0.0)
    assert [example.output for example in task.train] == ["sad", "glad"]


def test_a_set_with_a_loading_script_is_read_from_the_converted_copy(hub: HubServer) -> None:
    hub.add("dataset", "owner/old", {"README.md": b"", "old.py": b"raise SystemExit"})
    rows = [{"question": "1 + 1?", "answer": "2"}, {"question": "2 + 2?", "answer": "4"}]
    converted = {
        "plain/train/0000.parquet": parquet(rows),
        "plain/validation/0000.parquet": parquet([{"question": "3 + 3?", "answer": "6"}]),
        "other/partial-train/0000.parquet": parquet(rows[:1]),
    }
    hub.add("dataset", "owner/old", converted, revision="refs/convert/parquet")
    task = load_one(source="owner/old", config="plain")
    assert (len(task.train), len(task.valid)) == (2, 1)
    assert len(load_one(source="owner/old", config="other").train) == 1


def test_splits_are_chosen_by_their_names_at_the_source(hub: HubServer) -> None:
    files = {
        "data/train-00000-of-00001.parquet": parquet([{"input": "a", "output": "b"}]),
        "data/validation_matched-00000-of-00001.parquet": parquet([{"input": "c", "output": "d"}]),
        "data/validation_mismatched-00000-of-00001.parquet": parquet(
            [{"input": "e", "output": "f"}]
        ),
    }
    hub.add("dataset", "owner/nli", files)
    both = load_one(source="owner/nli")
    assert len(both.valid) == 2
    one = load_one(source="owner/nli", splits={"train": "train", "valid": "validation_matched"})
    assert [example.input for example in one.valid] == ["c"]
    error = refusal(source="owner/nli", splits={"train": "training_set"})
    assert "training_set" in error.message and "validation_matched" in error.hint


def test_only_the_files_of_the_wanted_splits_are_downloaded(hub: HubServer) -> None:
    files = {
        "train.jsonl": jsonl(2),
        "test.jsonl": jsonl(1, 9),
        "images.zip": b"",
        "extra.jsonl": b"",
    }
    hub.add("dataset", "owner/plain", files)
    load_one(source="owner/plain", splits={"train": "train"})
    fetched = {line.rsplit("/", 1)[-1] for line in hub.log if "/resolve/" in line}
    assert fetched == {"train.jsonl"}


def test_the_card_may_name_files_without_splits(hub: HubServer) -> None:
    head = "---\nconfigs:\n- config_name: a\n  {}\n---\n"
    for number, line in enumerate(["data_files: '**/*.jsonl'", "data_dir: more", "data_files: []"]):
        files = {"README.md": head.format(line).encode(), "more/rows.jsonl": jsonl(3)}
        hub.add("dataset", f"owner/free{number}", files)
        assert len(load_one(source=f"owner/free{number}", valid_share=0.0).train) == 3
    files = {"README.md": head.format("data_files: other/*").encode(), "rows.jsonl": jsonl(3)}
    hub.add("dataset", "owner/none", files)
    assert "no data files" in refusal(source="owner/none").message


def test_files_can_be_named(hub: HubServer) -> None:
    hub.add("dataset", "owner/odd", {"v2/seen.jsonl": jsonl(3), "v2/unseen.jsonl": jsonl(2, 9)})
    task = load_one(
        source="owner/odd", files={"train": "v2/seen.jsonl", "valid": "v2/unseen.jsonl"}
    )
    assert (len(task.train), len(task.valid)) == (3, 2)
    error = refusal(source="owner/odd", files={"train": "seen.jsonl"})
    assert "no file `seen.jsonl`" in error.message and "v2/seen.jsonl" in error.hint


def test_compressed_lines_are_read(hub: HubServer) -> None:
    hub.add("dataset", "owner/gz", {"train.jsonl.gz": gzip.compress(jsonl(4))})
    assert len(load_one(source="owner/gz", valid_share=0.0).train) == 4


def test_a_revision_is_honoured(hub: HubServer) -> None:
    hub.add("dataset", "owner/dated", {"train.jsonl": jsonl(2)})
    hub.add("dataset", "owner/dated", {"train.jsonl": jsonl(5)}, revision="v2")
    assert len(load_one(source="owner/dated", valid_share=0.0).train) == 2
    assert len(load_one(source="owner/dated", revision="v2", valid_share=0.0).train) == 5
    assert "no revision 'v3'" in refusal(source="owner/dated", revision="v3").message


def test_what_was_fetched_once_is_there_offline(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("dataset", "owner/kept", {"README.md": b"", "train.jsonl": jsonl(3)})
    online = load_one(source="owner/kept")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_one(source="owner/kept") == online
    error = refusal(source="owner/other")
    assert "owner/other" in error.message and "HF_HUB_OFFLINE" in error.hint


def test_a_hub_out_of_reach_is_told(hub: HubServer) -> None:
    hub.close()
    error = refusal(source="owner/name")
    assert "refuses connections" in error.message and hub.endpoint in error.hint


@pytest.mark.parametrize("ailment", ["500", "html", "cut"])
def test_a_failing_hub_is_told(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, ailment: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.add("dataset", "owner/name", {"train.jsonl": jsonl(200)})
    hub.ailment = ailment
    error = refusal(source="owner/name")
    assert error.message.startswith("owner/name: ")
    assert error.message.count("owner/name") == 1 and "\n" not in error.message


def test_an_unknown_id_and_a_gated_set_say_what_to_do(hub: HubServer) -> None:
    assert "not on the hub" in refusal(source="owner/nothing").message
    hub.add("dataset", "owner/gated", {"train.jsonl": jsonl(1)}, gated=True)
    error = refusal(source="owner/gated")
    assert "terms must be accepted" in error.message and "hf auth login" in error.hint


def test_a_set_without_readable_files_is_refused(hub: HubServer) -> None:
    hub.add("dataset", "owner/pictures", {"README.md": b"", "train.zip": b"PK"})
    assert "no data files" in refusal(source="owner/pictures").message


def test_rows_without_a_label_can_be_dropped(hub: HubServer) -> None:
    rows = [{"text": "a", "label": -1}, {"text": "b", "label": 0}, {"text": "c", "label": 1}]
    data = parquet(rows, {"label": ["no", "yes"]})
    hub.add("dataset", "owner/gaps", {"data/train-00000-of-00001.parquet": data})
    error = refusal(source="owner/gaps")
    assert "owner/gaps/data/train-00000-of-00001.parquet: record 1" in error.message
    task = load_one(source="owner/gaps", bad_rows="drop", valid_share=0.0)
    assert [example.input for example in task.train] == ["b", "c"]


def test_a_malformed_card_is_passed_over(hub: HubServer) -> None:
    for number, card in enumerate([b"---\n[: {\n---\n", b"\xff\xfe\x00", b"---\n- a\n---\n"]):
        files = {"README.md": card, "train.jsonl": jsonl(2)}
        hub.add("dataset", f"owner/card{number}", files)
        assert len(load_one(source=f"owner/card{number}", valid_share=0.0).train) == 2


def test_the_environment_of_a_process_is_honoured(hub: HubServer, tmp_path: Path) -> None:
    hub.add("dataset", "owner/env", {"train.jsonl": jsonl(3)})
    code = (
        "import sys; from yofo_mlx.commands.data import DataRequest, check;"
        "sys.exit(check(DataRequest(['owner/env'])))"
    )
    environment = {**os.environ, **hub.environment(tmp_path / "home")}

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code]
        where = HERE.parent
        return subprocess.run(command, env=environment, cwd=where, capture_output=True, text=True)

    online = run()
    assert (online.returncode, online.stdout) == (0, ""), online.stderr
    assert "3 examples" in online.stderr
    environment["HF_HUB_OFFLINE"] = "1"
    environment["HF_HOME"] = str(tmp_path / "empty")
    failed = run()
    assert failed.returncode == 3 and "HF_HUB_OFFLINE" in failed.stdout
    assert "Traceback" not in failed.stderr


def test_the_stand_in_serves_models_too(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"x" * 100_000)
    (tmp_path / "model" / "notes.txt").write_text("left behind")
    hub.add("model", "owner/model", files_of(tmp_path / "model"))
    folder = Path(snapshot_download("owner/model", allow_patterns=["*.json", "model*.safetensors"]))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == b"x" * 100_000
