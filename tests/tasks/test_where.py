"""`where` chooses rows by their columns; what it cannot mean is named."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yofo_mlx.errors import DataError, RecipeError
from yofo_mlx.recipe.file import to_toml, validate
from yofo_mlx.recipe.schema import Recipe, TaskSource
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.sources import LoadedSource, load

ROWS: list[dict[str, Any]] = [
    {"text": "a", "label": "x", "n": 1, "ok": True, "tags": ["p", "q"], "meta": {"lang": "en"}},
    {"text": "b", "label": "y", "n": 2, "ok": False, "tags": ["q"], "meta": {"lang": "de"}},
    {"text": "c", "label": "-", "n": 3.0, "ok": True, "tags": [], "meta": {"lang": None}},
    {"text": "d", "label": "x", "n": 4, "ok": False, "tags": ["p"]},
]


def chosen(
    folder: Path, where: Any, rows: list[dict[str, Any]] = ROWS, **keys: Any
) -> LoadedSource:
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = TaskSource(source="a.jsonl", where=where, input="text", output="label", **keys)
    [loaded] = load(source, folder)
    return loaded


def texts(loaded: LoadedSource) -> str:
    return "".join(item.example.input for item in loaded.all_items())


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"label": "x"}, "ad"),
        ({"label": ["x", "y"]}, "abd"),
        ({"label": {"in": ["y", "-"]}}, "bc"),
        ({"label": {"not_in": ["-"]}}, "abd"),
        ({"label": {"not_in": "x"}}, "bc"),
        ({"label": {"matches": "^[xy]$"}}, "abd"),
        ({"label": "x", "n": 1}, "a"),
        ({"n": {"in": [1, 2, 3, 4], "not_in": [3]}}, "abd"),
        ({"n": 3}, "c"),
        ({"n": "2"}, "b"),
        ({"ok": True}, "ac"),
        ({"tags": "p"}, "ad"),
        ({"tags": {"not_in": ["p"]}}, "bc"),
        ({"tags": {"matches": "q"}}, "ab"),
        ({"meta.lang": "en"}, "a"),
        ({"meta.lang": {"not_in": ["en"]}}, "bcd"),
        ({"LABEL": " x\u200b"}, "ad"),
    ],
)
def test_rows_are_chosen_by_value(tmp_path: Path, where: Any, expected: str) -> None:
    loaded = chosen(tmp_path, where)
    assert texts(loaded) == expected and loaded.problems == []
    assert str(loaded.selection) == f"{len(expected)} of 4 rows fit `where`"


def test_numbers_and_truth_of_a_table_are_text_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,n,ok\na,x,1,True\nb,y,2.0,false\n")

    def found(where: Any) -> str:
        return texts(load(TaskSource(source="a.csv", where=where), tmp_path)[0])

    assert found({"n": 2}) == found({"ok": False}) == "b"
    assert found({"n": [1, 3]}) == found({"ok": True}) == "a"


def test_classes_are_chosen_by_name_or_number(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{"text": t, "label": n} for t, n in (("a", 0), ("b", 1))])
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    mark = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(mark), tmp_path / "a.parquet")
    for where in ({"label": "yes"}, {"label": 1}, {"label": {"matches": "^y"}}):
        [loaded] = load(TaskSource(source="a.parquet", where=where), tmp_path)
        assert texts(loaded) == "b"


def test_classes_that_the_recipe_names_are_chosen_by_name(tmp_path: Path) -> None:
    rows = [{"text": "ab"[n], "label": n} for n in range(2)]
    loaded = chosen(tmp_path, {"label": "yes"}, rows, labels=("no", "yes"))
    assert texts(loaded) == "b" and loaded.problems == []


def test_rows_that_are_not_chosen_cannot_be_wrong(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": None, "label": "z"}]
    assert chosen(tmp_path, {"label": "x"}, rows).problems == []


def test_an_unknown_column_is_named_with_a_guess(tmp_path: Path) -> None:
    for where in ({"labl": "x"}, {"labl": {"not_in": ["x"]}}):
        [problem] = chosen(tmp_path, where).problems
        assert problem.message == "`where`: no field `labl`"
        assert problem.severity == "error" and "did you mean `label`?" in problem.hint


def test_a_choice_that_leaves_nothing_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        chosen(tmp_path, {"label": "z"})
        load_tasks([TaskSource(source="a.jsonl", where={"label": "z"})], 0, tmp_path)
    assert "none of 4 rows fits `where`" in caught.value.message
    assert "`label` holds '-', 'x', 'y'" in caught.value.hint


def test_a_value_that_no_row_holds_is_told(tmp_path: Path) -> None:
    loaded = chosen(tmp_path, {"label": ["x", "yy"]})
    messages = [problem.message for problem in check(loaded)]
    assert "`where` names what no row holds: `label` 'yy'" in messages


def test_how_many_rows_were_chosen_is_a_note(tmp_path: Path) -> None:
    chosen(tmp_path, {"label": "x"})
    [entry] = load_tasks([TaskSource(source="a.jsonl", where={"label": "x"})], 0, tmp_path)
    assert "a: 2 of 4 rows fit `where`" in entry.notes


def recipe(where: str) -> Recipe:
    toml = f'model = "tiny"\n[train]\nsteps = 1\n[[tasks]]\nsource = "a.csv"\nwhere = {where}\n'
    return validate(tomllib.loads(toml), "mine.toml")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ('{ a = { matches = "((" } }', "`tasks.0.where.a`: `matches` is no regular expression"),
        ("{ a = { like = 1 } }", "`tasks.0.where.a`: unknown key `like`"),
        ("{ a.b = 1 }", "a dotted path is one key in quotes"),
        ("{ a = [] }", "give a text, a number or true/false"),
        ("{ a = [[1]] }", "give a text, a number or true/false"),
        ("{ a = {} }", "give a value"),
        ("{}", "`tasks.0.where`"),
        ("3", "`tasks.0.where`"),
    ],
)
def test_a_condition_that_means_nothing_is_a_mistake_of_the_recipe(
    where: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(where)
    assert message in caught.value.message


def test_where_is_kept_with_the_run_and_can_be_set(tmp_path: Path) -> None:
    where = '{ a = "x", b = [1, true], c = { not_in = ["-"], matches = "^z" } }'
    first = recipe(where)
    (tmp_path / "mine.toml").write_text(to_toml(first))
    assert load_recipe(tmp_path / "mine.toml") == first
    assert validate(first.model_dump(mode="json"), "run.json") == first
    changed = load_recipe(tmp_path / "mine.toml", ['tasks.0.where.a=["y", "z"]'])
    assert changed.tasks[0].where and changed.tasks[0].where["a"].one_of == ("y", "z")


def test_labels_that_are_numbers_are_chosen_by_what_the_column_holds(tmp_path: Path) -> None:
    rows = [{"text": "abcd"[n - 1], "label": n} for n in (1, 2, 3, 4)]
    labels = ("1", "2", "3", "4", "5")
    loaded = chosen(tmp_path, {"label": "2"}, rows, labels=labels)
    assert [item.example.output for item in loaded.all_items()] == ["2"]
    assert texts(loaded) == "b"


def test_a_class_named_like_the_number_of_another_is_chosen_by_its_name(tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["1", "2", "3"]}}
    head = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"text": ["a", "b", "c"], "label": [0, 1, 2]})
    pq.write_table(table.replace_schema_metadata(head), tmp_path / "a.parquet")
    for where, expected in [({"label": "2"}, "b"), ({"label": 2}, "c"), ({"label": "0"}, "a")]:
        source = TaskSource.model_validate({"source": "a.parquet", "where": where})
        assert texts(load(source, tmp_path)[0]) == expected
