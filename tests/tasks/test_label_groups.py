"""Groups of labels make a task each; what they cannot mean is named, all at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.checks import check, check_held_out
from yofo_mlx.tasks.label_groups import labels_of
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.tasks.sources import expand, load

LABELS = ("transfer", "balance", "visa", "flight", "rain")
GROUPS = {"banking": ("transfer", "balance"), "travel": ("visa", "flight")}


def write(folder: Path, name: str = "a.csv") -> None:
    rows = [f"text {number},{LABELS[number % 5]}" for number in range(60)]
    (folder / name).write_text("\n".join(["input,output", *rows]))


def source(**keys: Any) -> TaskSource:
    return TaskSource(**{"source": "a.csv", "name": "bank", "groups": GROUPS, **keys})


def entries(folder: Path, **keys: Any) -> list[TaskEntry]:
    return load_tasks([source(**keys)], 0, folder)


def test_each_group_is_a_task_of_its_rows_and_labels(tmp_path: Path) -> None:
    write(tmp_path)
    one, two = entries(tmp_path)
    assert (one.task.name, two.task.name) == ("bank-banking", "bank-travel")
    assert (one.task.labels, two.task.labels) == (GROUPS["banking"], GROUPS["travel"])
    for entry in (one, two):
        rows = (*entry.task.train, *entry.task.valid)
        assert len(rows) == 24 and {row.output for row in rows} == {*entry.task.labels}
        assert entry.task.family == "classification"
    assert one.notes == ("a.csv: 12 rows with labels of no group",) and not two.notes


def test_limits_shares_and_roles_are_those_of_each_group(tmp_path: Path) -> None:
    write(tmp_path)
    keys = {"limit": 10, "valid_share": 0.2, "role": "held_out"}
    for entry in entries(tmp_path, **keys):
        assert entry.role == "held_out"
        assert (len(entry.task.train), len(entry.task.valid)) == (8, 2)


def test_groups_are_made_of_what_where_takes_of_each_file_and_of_label_names(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    (found, _) = entries(
        tmp_path,
        where={"output": {"not_in": ["transfer"]}},
        groups={"banking": ("balance",), "all": ("balance", "visa")},
    )
    assert found.task.labels == ("balance",)
    write(tmp_path, "b.csv")
    names = [entry.task.name for entry in entries(tmp_path, source="*.csv")]
    assert names == ["bank/a-banking", "bank/a-travel", "bank/b-banking", "bank/b-travel"]
    numbers = "".join(f"text {number},{number % 5}\n" for number in range(60))
    (tmp_path / "a.csv").write_text(f"input,output\n{numbers}")
    one, _ = entries(tmp_path, output="output", labels=LABELS, input="input")
    assert {row.output for row in one.task.train} == {"transfer", "balance"}


def test_rows_of_several_labels_are_of_a_group_that_has_them_all(tmp_path: Path) -> None:
    rows = [{"input": str(n), "output": ["a", "b"][: n % 2 + 1]} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    alone, both = entries(tmp_path, source="a.jsonl", groups={"one": ("a",), "two": ("a", "b")})
    assert (alone.task.family, len(alone.task.train), len(both.task.train)) == (
        "multilabel",
        18,
        36,
    )


def test_what_groups_expand_to_is_loaded_as_it_is_and_named_without_reading(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    expanded = expand(source(), Path("nowhere"))
    assert [one.name for one in expanded] == ["bank-banking", "bank-travel"]
    assert expand(expanded[0], Path("nowhere")) == expanded[:1]
    assert labels_of(expanded[0]) == GROUPS["banking"]
    assert load_tasks(expanded, 0, tmp_path)[1].task == entries(tmp_path)[1].task


def test_labels_that_no_row_has_are_named_all_at_once_with_what_was_meant(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DataError) as caught:
        entries(tmp_path, groups={"banking": ("tranfer", "balance"), "sky": ("Rain", "sun")})
    for part in (
        "a.csv: `groups` name labels that no row has",
        "'tranfer' (banking), did you mean 'transfer'?",
        "'Rain' (sky), did you mean 'rain'?",
        "'sun' (sky)",
    ):
        assert part in caught.value.message
    assert "its labels: balance, flight, rain, transfer, visa" in caught.value.hint


def test_groups_of_a_family_without_labels_and_of_the_embedded_suite_are_refused(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    with pytest.raises(DataError, match="family math has none"):
        entries(tmp_path, family="math")
    with pytest.raises(DataError, match="tiny:train is not parted by `groups`"):
        load_tasks([source(source="tiny:train")], 0, tmp_path)


def test_problems_of_the_rows_are_told_once_not_for_each_group(tmp_path: Path) -> None:
    write(tmp_path)
    with (tmp_path / "a.csv").open("a") as file:
        file.write("\n,rain\n")
    sets = load(source(bad_rows="drop"), tmp_path)
    assert [len(loaded.problems) for loaded in sets] == [1, 0]


def test_a_held_out_group_that_shares_labels_with_a_trained_one_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    held = source(name="held", role="held_out", groups={"sky": ("rain", "visa")})
    sets = [one for table in (source(), held) for one in load(table, tmp_path)]
    [warning] = check_held_out(sets)
    assert "task 'bank-travel' trains on (12 such rows), with labels visa" in warning.message


def test_a_subset_of_more_labels_than_a_task_has_is_an_error_of_its_data(tmp_path: Path) -> None:
    write(tmp_path)
    one, two = load(source(label_subset=(3, 4)), tmp_path)
    messages = [problem.message for loaded in (one, two) for problem in check(loaded)]
    expected = "`label_subset` asks for 3 labels, and {} has 2"
    assert messages == [expected.format("bank-banking"), expected.format("bank-travel")]
    [whole] = load(source(label_subset=(2, 4), groups=None, family="math"), tmp_path)
    assert "of family math" in check(whole)[0].message
    [one, _] = load(source(label_subset=(2, 4)), tmp_path)
    assert not check(one) and not check(one, (3, 4))


def test_a_subset_of_the_recipe_is_of_training_tasks_with_one_label_a_row(tmp_path: Path) -> None:
    write(tmp_path)
    [one, _] = load(source(), tmp_path)
    assert "asks for 3 labels, and bank-banking has 2" in check(one, (3, 4))[0].message
    for other in ({"role": "held_out"}, {"label_subset": False}):
        assert not check(load(source(**other), tmp_path)[0], (3, 4))
    [whole] = load(source(groups=None, family="math"), tmp_path)
    assert not check(whole, (99, 99))
