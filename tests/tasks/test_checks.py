"""The checks find what is suspicious across the rows and splits of a source."""

import json
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.checks import LONG_TEXT, check
from yofo_mlx.tasks.families import guess_family
from yofo_mlx.tasks.problems import Problem
from yofo_mlx.tasks.sources import load

Rows = list[tuple[str, Any]]


def found_in(folder: Path, splits: dict[str, Rows], **keys: Any) -> list[Problem]:
    for name, rows in splits.items():
        lines = [json.dumps({"input": one, "output": other}) for one, other in rows]
        (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines))
    [loaded] = load(TaskSource(source=str(folder), **keys), folder)
    return check(loaded)


def told(problems: list[Problem]) -> list[str]:
    return [str(problem).rsplit("/", 1)[-1] for problem in problems]


def many(label: str, count: int = 4) -> Rows:
    return [(f"{label} {number}", label) for number in range(count)]


def test_clean_data_have_no_problems(tmp_path: Path) -> None:
    splits = {"train": many("yes") + many("no"), "test": [("other", "yes"), ("another", "no")]}
    assert found_in(tmp_path, splits) == []


def test_the_same_input_with_another_answer_is_found(tmp_path: Path) -> None:
    rows = [*many("yes"), *many("no"), ("no 1", "yes")]
    [problem] = found_in(tmp_path, {"train": rows})
    assert problem.line == 9 and problem.severity == "warning"
    assert "same input as" in problem.message and "train.jsonl:6" in problem.message


def test_repeated_rows_are_found(tmp_path: Path) -> None:
    [problem] = found_in(tmp_path, {"train": [*many("yes"), *many("no"), ("yes 0", "yes")]})
    assert problem.line == 9 and "the same row as" in problem.message


@pytest.mark.parametrize("split", ["valid", "test"])
def test_inputs_in_two_splits_are_found(tmp_path: Path, split: str) -> None:
    splits = {"train": many("yes") + many("no"), split: [("no 2", "no"), ("new", "yes")]}
    [problem] = found_in(tmp_path, splits)
    assert told([problem])[0].endswith("train.jsonl:7")
    assert problem.path.endswith(f"{split}.jsonl") and problem.line == 1


def test_an_input_in_valid_and_test_stays_in_both(tmp_path: Path) -> None:
    splits = {"train": many("yes") + many("no"), "valid": [("q", "no")], "test": [("q", "no")]}
    [problem] = found_in(tmp_path, splits)
    assert "also in valid" in problem.message and "left out" not in problem.hint


def test_labels_with_one_example_are_found(tmp_path: Path) -> None:
    [problem] = found_in(tmp_path, {"train": [*many("yes"), *many("no"), ("odd", "maybe")]})
    assert (problem.line, problem.message) == (9, "label 'maybe' has one example only")


def test_labels_unknown_to_train_are_found(tmp_path: Path) -> None:
    splits = {"train": many("yes") + many("no"), "test": many("maybe", 2)}
    [problem] = found_in(tmp_path, splits)
    assert problem.message == "label 'maybe' never occurs in train"


def test_labels_spelled_in_two_ways_are_found(tmp_path: Path) -> None:
    [problem] = found_in(tmp_path, {"train": many("yes") + many("Yes") + many("no")})
    assert problem.message == "label 'Yes' is also spelled 'yes'"


def test_single_labels_of_lists_are_counted(tmp_path: Path) -> None:
    rows: Rows = [("a", ["x", "y"]), ("b", ["x"]), ("c", ["y", "z"])]
    [problem] = found_in(tmp_path, {"train": rows})
    assert (problem.line, problem.message) == (3, "label 'z' has one example only")


def test_a_label_that_holds_the_separator_is_told(tmp_path: Path) -> None:
    rows: Rows = [(f"{n}", ["a, b", "c"]) for n in range(4)]
    [problem] = found_in(tmp_path, {"train": rows})
    assert problem.message == "label 'a, b' holds the separator of labels"
    assert found_in(tmp_path, {"train": rows}, separator=" | ") == []


def test_an_answer_outside_the_given_labels_is_an_error(tmp_path: Path) -> None:
    rows = many("yes") + many("no")
    problems = found_in(tmp_path, {"train": rows}, family="classification", labels=("yes", "nope"))
    assert [problem.severity for problem in problems] == ["error"] * 4
    assert "'no' is not one of `labels`" in problems[0].message


def test_control_characters_and_very_long_rows_are_found(tmp_path: Path) -> None:
    problems = found_in(tmp_path, {"train": [("a\x00b", "c"), ("d" * (LONG_TEXT + 1), "e")]})
    assert [problem.line for problem in problems] == [1, 2]
    assert "control character 0x00" in problems[0].message and "100,001" in problems[1].message


def test_one_mistake_in_every_row_is_told_once(tmp_path: Path) -> None:
    [problem] = found_in(tmp_path, {"train": many("yes", 50)}, input="text", output="output")
    assert problem.message == "no field `text` (and 49 more rows)"


def test_a_broken_first_row_does_not_hide_the_others(tmp_path: Path) -> None:
    rows = ['{"input": "x"}', '{"input": "a", "output": "b"}', '{"output": "c"}']
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    [loaded] = load(TaskSource(source="a.jsonl"), tmp_path)
    assert [(problem.line, problem.message) for problem in loaded.problems] == [
        (1, "no field `output`"),
        (3, "no field `input`"),
    ]
    assert len(loaded.items["train"]) == 1


def test_an_empty_data_set_is_an_error(tmp_path: Path) -> None:
    [problem] = found_in(tmp_path, {"train": []})
    assert (problem.message, problem.severity) == ("no examples", "error")


def test_dropped_rows_are_warnings(tmp_path: Path) -> None:
    splits = {"train": [*many("yes"), *many("no"), ("", "yes")]}
    [problem] = found_in(tmp_path, splits, bad_rows="drop")
    assert (problem.line, problem.severity) == (9, "warning")


def test_answers_without_fields_are_told_where_fields_are_compared(tmp_path: Path) -> None:
    rows: Rows = [("a", {"x": 1}), ("b", '["y"]'), ("c", "{x: 1}"), ("d", "5")]
    [problem] = found_in(tmp_path, {"train": rows}, family="extraction")
    assert "2 answers are no JSON" in problem.message and problem.line == 3
    assert problem.severity == "warning"


@pytest.mark.parametrize(
    ("rows", "family"),
    [
        (many("yes") + many("no"), "classification"),
        ([(f"{n}", ["a", "b"]) for n in range(3)], "multilabel"),
        ([(f"{n}", label) for n in range(4) for label in ("entailment", "neutral")], "nli"),
        ([(f"{n} + {n}", str(2 * n)) for n in range(9)], "math"),
        ([("story " * 200 + str(n), "in short " * 9 + str(n)) for n in range(9)], "summarization"),
        ([(f"Who is {n}?", f"Person {n}") for n in range(9)], "qa"),
        ([(f"Say {n}", f"I say {n}") for n in range(9)], "other"),
    ],
)
def test_the_family_is_guessed(tmp_path: Path, rows: Rows, family: str) -> None:
    lines = [json.dumps({"input": one, "output": other}) for one, other in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    [loaded] = load(TaskSource(source="a.jsonl"), tmp_path)
    assert guess_family(list(loaded.all_items())) == family
