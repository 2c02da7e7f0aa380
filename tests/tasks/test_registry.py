"""Task tables become tasks: splits, limits, labels, metrics, fingerprints, and refusals."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.errors import DataError, ExitCode
from yofo_mlx.recipe.family import FAMILIES
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.division import divide
from yofo_mlx.tasks.registry import TaskEntry, fingerprint, load_tasks, share_of
from yofo_mlx.tasks.task import Example, Task

examples = st.lists(st.builds(Example, st.text(), st.text()), max_size=4).map(tuple)


def write(path: Path, pairs: list[tuple[str, Any]]) -> None:
    lines = [json.dumps({"input": one, "output": other}) for one, other in pairs]
    path.write_text("".join(line + "\n" for line in lines))


def numbered(count: int, start: int = 0) -> list[tuple[str, Any]]:
    return [(f"in {n}", f"out {n % 3}") for n in range(start, start + count)]


def entry(base: Path, seed: int = 0, **keys: Any) -> TaskEntry:
    [found] = load_tasks([TaskSource(**{"source": ".", **keys})], seed, base)
    return found


def refusal(base: Path, *sources: dict[str, Any]) -> DataError:
    with pytest.raises(DataError) as caught:
        load_tasks([TaskSource(**keys) for keys in sources], 0, base)
    assert caught.value.hint and caught.value.exit_code == ExitCode.DATA
    return caught.value


def test_a_folder_in_the_form_of_mlx_lm_is_read_split_by_split(tmp_path: Path) -> None:
    for name, count in (("train", 5), ("valid", 2), ("test", 3)):
        write(tmp_path / f"{name}.jsonl", [(f"{name} {n}", "out") for n in range(count)])
    task = entry(tmp_path).task
    assert [len(task.train), len(task.valid), len(task.test)] == [5, 2, 3]
    assert task.train[0] == Example("train 0", "out")


def test_a_share_of_train_is_set_aside_where_valid_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", numbered(50))
    task = entry(tmp_path, source="a.jsonl", valid_share=0.2).task
    assert (len(task.train), len(task.valid), task.name) == (40, 10, "a")
    assert sorted(task.train + task.valid, key=str) == sorted(
        (Example(*pair) for pair in numbered(50)), key=str
    )


def test_the_seed_alone_decides_what_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", numbered(50))
    first = entry(tmp_path, seed=1, source="a.jsonl")
    assert first == entry(tmp_path, seed=1, source="a.jsonl")
    assert first.task.valid != entry(tmp_path, seed=2, source="a.jsonl").task.valid


def test_rows_with_one_input_are_set_aside_together(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [(f"in {n % 10}", f"out {n}") for n in range(40)])
    task = entry(tmp_path, source="a.jsonl", valid_share=0.5).task
    inside = {example.input for example in task.train}
    assert inside.isdisjoint(example.input for example in task.valid)
    assert len(task.train) == len(task.valid) == 20


@given(st.integers(0, 9), st.lists(st.floats(0.01, 1), min_size=2, max_size=2).map(sorted))
@draws(20)
def test_a_share_of_the_rows_is_part_of_a_larger_one_and_a_function_of_the_seed(
    seed: int, shares: list[float]
) -> None:
    rows = [Example(f"in {n % 30}", f"out {n}") for n in range(40)]  # ten inputs have two rows
    few, many = (share_of(rows, share, f"{seed}/a") for share in shares)
    assert few and [one for one in rows if one in few] == few
    assert {*few} <= {*many} and share_of(rows, shares[0], f"{seed}/a") == few
    asked = [len({one.input for one in some}) for some in (few, many)]
    assert asked == [max(1, round(share * 30)) for share in shares]
    assert {one for one in rows if one.input in {o.input for o in few}} == {*few}
    assert share_of(rows, 1.0, "any") == rows


def test_a_share_of_the_rows_leaves_what_is_set_aside_and_the_labels_as_they_are(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.jsonl", numbered(80))
    whole, eighth, other = (
        entry(tmp_path, seed, source="a.jsonl", family="classification", rows=share)
        for seed, share in ((0, 1.0), (0, 0.125), (1, 0.125))
    )
    assert (len(whole.task.train), len(eighth.task.train)) == (72, 9)
    assert (eighth.task.valid, eighth.task.labels) == (whole.task.valid, whole.task.labels)
    assert {*eighth.task.train} < {*whole.task.train}
    assert eighth.task.train != other.task.train and eighth.fingerprint != whole.fingerprint


@pytest.mark.parametrize("keys", [{"rows": 0.25}, {"limit": 8}])
def test_fewer_rows_of_an_embedded_task_are_fewer(tmp_path: Path, keys: dict[str, Any]) -> None:
    whole, fewer = (entry(tmp_path, source="tiny:topic-01", **some).task for some in ({}, keys))
    wanted = keys.get("limit") or round(0.25 * len(whole.train))
    assert len(fewer.train) == wanted and {*fewer.train} < {*whole.train}
    assert fewer.test == whole.test


def test_a_held_out_task_with_a_test_split_keeps_its_train_split(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", numbered(20))
    write(tmp_path / "test.jsonl", numbered(5, start=50))
    assert len(entry(tmp_path, role="held_out").task.train) == 20
    assert len(entry(tmp_path, role="train").task.train) == 18


def test_a_lone_test_split_can_be_named_as_train(tmp_path: Path) -> None:
    write(tmp_path / "news_test_500.jsonl", numbered(10))
    error = refusal(tmp_path, {"source": "."})
    assert "no split `train`" in error.message and "news_test_500" in error.hint
    by_split = entry(tmp_path, splits={"train": "test"}).task
    by_file = entry(tmp_path, files={"train": "news_test_500.jsonl"}).task
    assert by_split.train == by_file.train and len(by_split.train) == 9
    assert len(entry(tmp_path, source="news_test_500.jsonl").task.train) == 9


def test_repeated_rows_are_used_once_and_leaks_leave_train(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("c", "2")])
    write(tmp_path / "valid.jsonl", [("b", "1"), ("b", "1")])
    found = entry(tmp_path)
    assert found.task.train == (Example("a", "1"), Example("a", "2"), Example("c", "2"))
    assert found.task.valid == (Example("b", "1"),)
    assert [note.split(": ")[1].split(",")[0] for note in found.notes] == [
        "2 repeated rows used once",
        "1 train rows left out",
    ]


def test_the_limit_draws_from_train_by_the_seed(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", numbered(100))
    write(tmp_path / "valid.jsonl", numbered(30, start=200))
    one, other = (entry(tmp_path, seed=seed, limit=20).task for seed in (0, 1))
    assert len(one.train) == len(other.train) == 20 and one.train != other.train
    assert len(one.valid) == 30
    numbers = [int(example.input.split()[1]) for example in one.train]
    assert numbers == sorted(numbers)


def test_labels_come_from_the_data_where_they_are_not_given(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [(f"in {n}", ["x", "z"] if n % 2 else ["y"]) for n in range(9)])
    keys: dict[str, Any] = {"source": "a.jsonl"}
    assert entry(tmp_path, **keys, family="multilabel").task.labels == ("x", "y", "z")
    assert entry(tmp_path, **keys, family="qa").task.labels == ()
    given_ones = entry(tmp_path, **keys, family="multilabel", labels=("z", "y", "x"))
    assert given_ones.task.labels == ("z", "y", "x")


@pytest.mark.parametrize(
    ("family", "metric"),
    [
        ("classification", "exact"),
        ("nli", "exact"),
        ("math", "number"),
        ("multilabel", "f1"),
        ("qa", "f1"),
        ("summarization", "rouge"),
        ("other", "exact"),
    ],
)
def test_the_metric_follows_the_family_unless_given(
    tmp_path: Path, family: str, metric: str
) -> None:
    write(tmp_path / "a.jsonl", numbered(9))
    assert entry(tmp_path, source="a.jsonl", family=family).metric == metric
    assert entry(tmp_path, source="a.jsonl", family=family, metric="rouge").metric == "rouge"


def test_role_weight_and_mark_are_handed_on(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", numbered(9))
    keys = {"role": "held_out", "weight": 2.0, "answer_after": "####", "instruction": "Do."}
    found = entry(tmp_path, source="a.jsonl", **keys)
    assert (found.role, found.weight, found.answer_after) == ("held_out", 2.0, "####")
    assert found.task.instruction == "Do."


def test_a_system_text_shared_by_all_rows_is_the_instruction(tmp_path: Path) -> None:
    def line(system: str, number: int) -> str:
        turns = [("system", system), ("user", f"q {number}"), ("assistant", "a")]
        return json.dumps({"messages": [{"role": r, "content": c} for r, c in turns]})

    same = [line("Be kind.", n) for n in range(4)]
    (tmp_path / "same.jsonl").write_text("\n".join(same))
    (tmp_path / "mixed.jsonl").write_text("\n".join([*same, line("Be brief.", 9)]))
    assert entry(tmp_path, source="same.jsonl").task.instruction == "Be kind."
    assert entry(tmp_path, source="mixed.jsonl").task.instruction == ""


def test_a_pattern_gives_a_task_for_each_file(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path / f"{name}.jsonl", numbered(9))
    entries = load_tasks([TaskSource(source="*.jsonl", name="suite")], 0, tmp_path)
    assert [found.task.name for found in entries] == ["suite/a", "suite/b"]
    assert "no file matches" in refusal(tmp_path, {"source": "*.csv"}).message


def test_records_by_split_lie_in_one_file(tmp_path: Path) -> None:
    data = {"train": [["a", "x"], ["b", "y"]], "val": [["c", "x"]], "oos": []}
    (tmp_path / "all.json").write_text(json.dumps(data))
    task = entry(tmp_path, source="all.json", records="{split}").task
    assert (len(task.train), len(task.valid), len(task.test)) == (2, 1, 0)
    renamed = entry(
        tmp_path, source="all.json", records="{split}", splits={"train": "val", "test": "train"}
    )
    assert (len(renamed.task.train), len(renamed.task.test)) == (1, 2)
    error = refusal(tmp_path, {"source": "all.json", "records": "x.{split}"})
    assert "no list of rows for `train`" in error.message and "val" in error.hint


def test_paths_are_found_beside_the_recipe_else_in_the_current_folder_and_then_never_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("beside", "here"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / f"{folder}.jsonl", numbered(9))
    recipe = tmp_path / "beside" / "mine.toml"
    tables = "".join(f'[[tasks]]\nsource = "{name}.jsonl"\n' for name in ("beside", "here"))
    recipe.write_text(f'model = "tiny"\ntrain.steps = 1\n{tables}')
    monkeypatch.chdir(tmp_path / "here")
    found = load_recipe(recipe).tasks
    assert [Path(task.source).parent.name for task in found] == ["beside", "here"]
    monkeypatch.chdir(tmp_path)
    assert len(load_tasks(found, 0, Path(os.devnull))) == 2
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match="no such file"):
        load_tasks([TaskSource(source="here.jsonl")], 0, tmp_path / "beside")


def test_all_problems_are_counted_in_one_error(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"input": "a", "output": ""}\n{"input": 1}\nnope\n')
    write(tmp_path / "good.jsonl", numbered(9))
    sources = [{"source": name} for name in ("bad.jsonl", "none.jsonl", "good.jsonl")]
    error = refusal(tmp_path, *sources)
    assert error.message.startswith("bad.jsonl:") and error.message.endswith("(and 3 more)")
    assert "yofo data check" in error.hint


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", "no examples"),
        ("a.jsonl", "\n\n", "no examples"),
        ("a.csv", "input,output\n", "no examples"),
        ("a.json", "[]", "no examples"),
        ("a.jsonl", '{"text": "only"}\n', "plain text has no answer"),
        ("a.txt", "hello", "unknown kind of file"),
    ],
)
def test_data_sets_without_examples_are_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    assert message in refusal(tmp_path, {"source": name}).message


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    write(tmp_path / "a.jsonl", numbered(3))
    assert "no such file or folder" in refusal(tmp_path, {"source": "b.jsonl"}).message
    assert "no such file or folder" in refusal(tmp_path, {"source": "data/b.csv"}).message
    assert "no data files" in refusal(tmp_path, {"source": "empty"}).message
    assert "leads nowhere" in refusal(tmp_path, {"source": "gone.jsonl"}).message
    error = refusal(tmp_path, {"source": "a.jsonl", "files": {"train": "c.jsonl"}})
    assert "no such file" in error.message


def test_train_within_test_leaves_nothing_to_train_on(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", numbered(3))
    write(tmp_path / "test.jsonl", numbered(3))
    assert "no examples to train on" in refusal(tmp_path, {"source": "."}).message


def test_dropping_leaves_out_what_labels_refuse_and_counts_it(tmp_path: Path) -> None:
    pairs = [(f"in {n}", "-" if n % 3 == 0 else "x") for n in range(9)] + [("", "x")]
    write(tmp_path / "a.jsonl", pairs)
    keys: dict[str, Any] = {"source": "a.jsonl", "labels": ("x",)}
    assert "answer '-' is not one of `labels`" in refusal(tmp_path, keys).message
    found = entry(tmp_path, **keys, bad_rows="drop")
    assert {example.output for example in found.task.train + found.task.valid} == {"x"}
    assert found.notes == (
        "a: 3 rows left out: answer … is not one of `labels`",
        "a: 1 row left out: `input` is empty",
    )


def test_the_family_is_guessed_where_the_recipe_gives_none(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [(f"in {n}", ["x", "z"] if n % 2 else ["y"]) for n in range(9)])
    found = entry(tmp_path, source="a.jsonl")
    assert (found.task.family, found.metric, found.guessed) == ("multilabel", "f1", True)
    assert found.separator == ", " and found.task.labels == ("x", "y", "z")
    write(tmp_path / "few.jsonl", [("a", "x"), ("b", "y")])
    assert entry(tmp_path, source="few.jsonl").task.family == "other"
    assert entry(tmp_path, source="few.jsonl", labels=("x", "y")).task.family == "classification"
    given_one = entry(tmp_path, source="a.jsonl", family="other")
    assert (given_one.task.family, given_one.metric, given_one.guessed) == ("other", "exact", False)
    assert given_one.fingerprint != found.fingerprint


def test_rows_of_json_are_guessed_to_be_extraction(tmp_path: Path) -> None:
    for found in ({"x": 1}, '{"x": 1}', [{"x": 1}, {"y": 2}]):
        write(tmp_path / "a.jsonl", [(f"in {n}", found) for n in range(9)])
        read = entry(tmp_path, source="a.jsonl")
        assert (read.task.family, read.metric, read.guessed) == ("extraction", "fields", True)
    for other in ("{x}", "[1, 2]", "{'x': 1}", "{" * 9999):
        write(tmp_path / "a.jsonl", [("in", {"x": 1}), ("other", other)])
        assert entry(tmp_path, source="a.jsonl").task.family != "extraction"


def test_all_answers_of_a_list_are_right_wherever_their_question_is_put(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [(f"in {n}?", [f"{n}", f"no. {n}"]) for n in range(8)])
    task = entry(tmp_path, source="a.jsonl", family="qa").task
    assert all(e.output.isdigit() for e in (*task.train, *task.valid)) and task.valid
    for drawn in (task, divide(task, 0, 4)[0], divide(replace(task, valid=()), 1, 4)[0]):
        for one in (*drawn.train, *drawn.valid, *drawn.test):
            assert drawn.right_answers(one) == (one.output, f"no. {one.output}")
    mark = fingerprint(replace(task, references={}))
    assert mark != fingerprint(task) == fingerprint(replace(task))
    write(tmp_path / "a.jsonl", [(f"in {n}?", [f"{n}"]) for n in range(8)])
    assert entry(tmp_path, source="a.jsonl", family="qa").task.references == {}
    assert entry(tmp_path, source="a.jsonl", family="qa").fingerprint == mark


def test_the_message_names_the_recipe(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [("", "x")])
    with pytest.raises(DataError) as caught:
        load_tasks([TaskSource(source="a.jsonl")], 0, tmp_path, "mine.toml")
    assert caught.value.hint.endswith("yofo data check mine.toml")


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", numbered(9))
    error = refusal(tmp_path, {"source": "a.jsonl"}, {"source": "a.jsonl"})
    assert "task a: 2 tasks have this name" in error.message and "name =" in error.hint


def test_the_embedded_suite_gives_many_tasks(tmp_path: Path) -> None:
    entries = load_tasks(
        [TaskSource(source="tiny:train"), TaskSource(source="tiny:held_out", role="held_out")],
        0,
        tmp_path,
    )
    assert len(entries) > 4 and {found.role for found in entries} == {"train", "held_out"}
    assert "tiny:train" in refusal(tmp_path, {"source": "tiny:other"}).hint
    assert "`where`" in refusal(tmp_path, {"source": "tiny:train", "where": {"a": "b"}}).message


@given(st.builds(Task, st.text(), st.sampled_from(FAMILIES), examples, examples, examples))
def test_the_fingerprint_changes_with_the_content(task: Task) -> None:
    assert fingerprint(task) == fingerprint(replace(task))
    marks = {
        fingerprint(task),
        fingerprint(replace(task, train=(*task.train, Example("a", "b")))),
        fingerprint(replace(task, train=(*task.train, Example("ab", "")))),
        fingerprint(replace(task, test=(*task.test, Example("a", "b")))),
        fingerprint(replace(task, instruction=task.instruction + "!")),
        fingerprint(replace(task, labels=("a",))),
    }
    assert len(marks) == 6


def test_shipped_recipes_hold_out_a_task_of_each_family() -> None:
    for path in shipped_recipes():
        recipe = load_recipe(path)
        if recipe.model != "tiny":
            trained = {task.family for task in recipe.tasks if task.role == "train"}
            assert trained == {task.family for task in recipe.tasks if task.role == "held_out"}
