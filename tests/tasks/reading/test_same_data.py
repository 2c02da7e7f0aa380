"""The same data give the same examples from wherever they come."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.draws import draws
from tests.hub_server import HubServer, files_of, hub_fixture  # noqa: F401
from yofo_mlx.errors import DataError
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.demonstrations import Style, parse
from yofo_mlx.recipe.schema import Recipe, TaskSource
from yofo_mlx.runs import launch
from yofo_mlx.tasks.sources import load
from yofo_mlx.tasks.task import Example

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
CELL = st.builds(
    lambda a, b, c: f"{a}x{b}{c}", TEXT, st.sampled_from(["", "\n", ", ", '"', "\t"]), TEXT
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"text": CELL, "label": st.sampled_from(["yes", "no", "may be, may be"])}
    ),
    min_size=1,
    max_size=6,
)


def as_csv(rows: Sequence[dict[str, Any]], delimiter: str = ",", end: str = "\n") -> str:
    sink = io.StringIO(newline="")
    names = list(rows[0])
    writer = csv.writer(sink, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([names, *([row[name] for name in names] for row in rows)])
    return sink.getvalue()


def as_jsonl(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def files(rows: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """Return the rows in every form of a file."""
    capital = [{name.title(): value for name, value in row.items()} for row in rows]
    return {
        "a.jsonl": as_jsonl(rows).encode(),
        "a.json": json.dumps(rows, indent=1).encode(),
        "deeper.json": json.dumps({"about": "x", "examples": rows}).encode(),
        "a.csv": as_csv(rows).encode(),
        "excel.csv": as_csv(rows, ";", "\r\n").encode("utf-8-sig"),
        "Capital.csv": as_csv(capital).encode(),
        "a.tsv": as_csv(rows, "\t").encode(),
        "a.csv.gz": gzip.compress(as_csv(rows).encode()),
        "a.jsonl.gz": gzip.compress(as_jsonl(rows).encode()),
        "a.parquet": as_parquet(rows),
        "clone/data/train-00000-of-00001.parquet": as_parquet(rows),
        "clone/README.md": b"---\nlicense: mit\n---\n",
    }


def trained(source: str, base: Path, **keys: Any) -> list[Example]:
    [loaded] = load(TaskSource(source=source, **keys), base)
    assert not loaded.problems
    return [item.example for item in loaded.items["train"]]


@draws(16, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_rows_are_the_same_from_any_file_folder_or_paste(tmp_path: Path, rows: Any) -> None:
    expected = [Example(row["text"].strip(), row["label"]) for row in rows]
    for name, content in files(rows).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
        source = "clone" if name.startswith("clone") else name
        if source != "clone" or name.endswith("README.md"):
            assert trained(source, tmp_path) == expected, name
            assert list(demonstrations.read(source, base=tmp_path).examples) == expected, name
    pasted = (as_jsonl(rows), json.dumps(rows), as_csv(rows), as_csv(rows, "\t"), as_csv(rows, ";"))
    for text in pasted:
        for spelled in (text, text.replace("\n", "\r\n"), f"\ufeff{text}"):
            parsed = parse(spelled)
            assert list(parsed.examples) == expected and not parsed.problems


NLI = [
    {"premise": "it rains", "hypothesis": "it is wet", "verdict": 0},
    {"premise": "it rains", "hypothesis": "it is dry", "verdict": 1},
    {"premise": "it rains, they say", "hypothesis": 'a "cat" sleeps', "verdict": 0},
]
TASK = TaskSource(
    source="/elsewhere/nli",
    input="Premise: {premise}\nSo: {hypothesis}",
    output="verdict",
    labels=("entailed", "not"),
)


def test_a_run_shows_rows_as_it_was_trained(tmp_path: Path, hub: HubServer) -> None:
    """The same from every form of file, from the hub and pasted, with the task's columns."""
    hub.add(
        "dataset", "owner/nli", {"README.md": b"", "data/train-0.jsonl": as_jsonl(NLI).encode()}
    )
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "train.jsonl").write_text(as_jsonl(NLI))
    keys = TASK.model_dump(include={"input", "output", "labels"})
    expected = trained("task", tmp_path, **keys)
    assert expected[1] == Example("Premise: it rains\nSo: it is dry", "not")
    style = Style((TASK, TaskSource(source="/elsewhere/plain.csv")))
    for name, content in files(NLI).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for source in [*files(NLI), "task", "*.csv", "owner/nli"]:
        if not source.startswith("clone"):
            parsed = demonstrations.read(source, style, tmp_path)
            assert list(parsed.examples)[:3] == expected, source
            assert any("as task nli was trained" in note for note in parsed.notes)
    for text in (as_jsonl(NLI), json.dumps(NLI), as_csv(NLI), as_csv(NLI, ";")):
        assert list(parse(text, style).examples) == expected


def test_of_several_tasks_that_fit_the_others_are_told() -> None:
    other = TASK.model_copy(update={"name": "short", "input": "{hypothesis}"})
    far = TaskSource(source="/elsewhere/far", input="{body}", output="verdict")
    parsed = parse(as_jsonl(NLI), Style((far, TASK, other)))
    assert parsed.examples[0].input.startswith("Premise: it rains")
    [note] = parsed.notes
    assert "short fit" in note and "--input" in note and "far" not in note
    given = Style((TASK, other), input="{premise}", output="{verdict}")
    assert parse(as_jsonl(NLI), given).examples[1] == Example("it rains", "1")


def test_the_file_of_a_task_is_shown_as_that_task(tmp_path: Path) -> None:
    (tmp_path / "nli").mkdir()
    (tmp_path / "nli" / "train.jsonl").write_text(as_jsonl(NLI))
    mine = TASK.model_copy(
        update={
            "source": str(tmp_path / "nli"),
            "name": "mine",
            "input": "{hypothesis}?",
            "instruction": "Is it so?",
        }
    )
    for name in ("nli", "nli/train.jsonl"):
        parsed = demonstrations.read(name, Style((TASK, mine)), tmp_path)
        assert parsed.examples[0] == Example("it is wet?", "entailed")
        assert parsed.instruction == "Is it so?" and "mine" in parsed.notes[0]


def test_conversations_are_read_with_their_system_text(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
    ]
    (tmp_path / "chat.jsonl").write_text(as_jsonl([{"messages": turns}] * 2))
    read = demonstrations.read("chat.jsonl", base=tmp_path)
    for parsed in (read, parse(as_jsonl([{"messages": turns}] * 2))):
        assert parsed.examples == (Example("hi", "hello"),) * 2
        assert parsed.instruction == "Be kind."


def test_lists_by_split_and_saved_folders_are_demonstrations(tmp_path: Path) -> None:
    lists = {"train": [["a", "x"], ["b", "y"]], "test": [["c", "x"]]}
    (tmp_path / "lists.json").write_text(json.dumps(lists))
    style = Style(records="{split}")
    found = demonstrations.read("lists.json", style, tmp_path).examples
    assert found == (Example("a", "x"), Example("b", "y"))
    with pytest.raises(DataError, match="no such file"):
        demonstrations.read("nowhere.csv", base=tmp_path)
    with pytest.raises(DataError, match="no file matches"):
        demonstrations.read("*.csv", base=tmp_path)


def test_files_without_columns_are_read_by_their_looks(tmp_path: Path) -> None:
    expected = (Example("good film", "yes"), Example("bad, film", "no"))
    forms = {
        "pairs.csv": 'good film,yes\n"bad, film",no\n',
        "pairs.tsv": "good film\tyes\nbad, film\tno\n",
        "arrows.txt": "good film -> yes\nbad, film -> no\n",
        "arrows": "good film -> yes\nbad, film -> no\n",
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        assert demonstrations.read(name, base=tmp_path).examples == expected, name
    (tmp_path / "arrows.txt.gz").write_bytes(gzip.compress(forms["arrows"].encode()))
    assert demonstrations.read("arrows.txt.gz", base=tmp_path).examples == expected
    (tmp_path / "wide.txt").write_bytes(forms["arrows"].encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        demonstrations.read("wide.txt", base=tmp_path)


def test_a_run_knows_the_columns_of_its_tasks(yofo_home: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "model": "tiny",
            "train": {"steps": 1},
            "tasks": [TASK.model_dump(), {"source": "tiny:train"}],
        },
        strict=False,
    )
    run = launch.create_run(recipe, "shown")
    style = demonstrations.style_of(run.run_id)
    assert [task.input for task in style.tasks] == [TASK.input]
    assert demonstrations.style_of(None) == Style()


def test_a_local_copy_is_what_the_hub_is(tmp_path: Path, hub: HubServer) -> None:
    """Each layout that the hub has: the same examples or the same words from a copy of it."""
    card = "---\nconfigs:\n- config_name: {}\n  data_files:\n  - split: train\n    path: {}\n---\n"
    one, two = as_jsonl(NLI[:2]).encode(), as_jsonl(NLI).encode()
    layouts: dict[str, dict[str, bytes]] = {
        "plain": {"train.jsonl": one, "test.jsonl": two},
        "shards": {"train-00000-of-00002.jsonl": one, "train-00001-of-00002.jsonl": two},
        "nameless": {"rows-00000-of-00002.jsonl": one, "rows-00001-of-00002.jsonl": two},
        "carded": {
            "README.md": card.format("a", "x/*.jsonl").encode(),
            "x/q.jsonl": one,
            "y.jsonl": two,
        },
        "configs": {"raw/train.jsonl": one, "clean/train.jsonl": two},
        "default": {"default/train.jsonl": one, "clean/train.jsonl": two},
        "loose": {"train.jsonl": one, "clean/train.jsonl": two},
        "deep": {"v1/data/train/part.jsonl": one, "v1/data/test/part.jsonl": two},
        "tasks": {"a.jsonl": one, "b.jsonl": two},
        "about": {"dataset_infos.json": b"{}", "config.json": b"[]", "data/train.jsonl": two},
        "nothing": {"README.md": b"# no data", "picture.png": b""},
        "tested": {"test.jsonl": two},
    }
    keys = TASK.model_dump(include={"input", "output", "labels"})
    for name, content in layouts.items():
        hub.add("dataset", f"owner/{name}", content)
        for file, data in content.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_bytes(data)
        assert files_of(tmp_path / name) == content
        for config in (None, "clean", "raw"):
            there, here = (
                load(TaskSource(source=source, config=config, **keys), tmp_path)[0]
                for source in (f"owner/{name}", name)
            )
            assert list(map(str, there.items)) == list(map(str, here.items)), (name, config)
            for split, items in there.items.items():
                copied = [item.example for item in here.items[split]]
                assert [item.example for item in items] == copied, (name, config)
            assert bool(there.problems) == bool(here.problems), (name, config)
