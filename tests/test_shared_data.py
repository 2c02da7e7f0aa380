"""The real data sets import with a few lines of TOML each."""

import tomllib
from pathlib import Path

import pytest

from yofo_mlx.recipe import TaskSource
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.problems import errors
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.sources import load
from yofo_mlx.tasks.task import Task

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real data sets are not beside this checkout (../shared/data)"
)

# name: TOML, sizes of train, valid and test after repeated and leaking rows are out, an answer
SETS = {
    "banking77": (
        """
        source = "banking77"
        family = "classification"
        """,
        (8993, 999, 3079),
        "card_arrival",
    ),
    "clinc150": (
        """
        source = "clinc150/data_full.json"
        records = "{split}"
        family = "classification"
        """,
        (14995, 3000, 4500),
        "translate",
    ),
    "gsm8k": (
        """
        source = "gsm8k"
        family = "math"
        answer_after = "####"
        """,
        (6726, 747, 1319),
        "#### 72",
    ),
    "nli": (
        """
        source = "nli"
        family = "nli"
        input = "Premise: {input_1}\\nHypothesis: {input_2}"
        output = "output"
        """,
        (1800, 200, 500),
        "entailment",
    ),
    "paraphrase": (
        """
        source = "paraphrase"
        family = "classification"
        input = "{input_1}\\n{input_2}"
        output = "output"
        """,
        (1800, 200, 500),
        "no",
    ),
    "questions": (
        """
        source = "questions"
        input = "{input}\\nAnswer: {answer}"
        output = "output"
        """,
        (1800, 200, 500),
        "What will Bailey want to do next?",
    ),
    "sentiment": (
        """
        source = "sentiment"
        family = "classification"
        """,
        (1800, 200, 500),
        "negative",
    ),
    "summarization": (
        """
        source = "summarization"
        family = "summarization"
        splits = { train = "test" }
        """,
        (450, 50, 0),
        "New plans for the £400m regeneration",
    ),
}


def table(toml: str) -> TaskSource:
    keys = tomllib.loads("\n".join(line.strip() for line in toml.strip().splitlines()))
    return TaskSource(**keys)


def sizes(task: Task) -> tuple[int, int, int]:
    return len(task.train), len(task.valid), len(task.test)


@pytest.mark.parametrize("name", SETS)
def test_a_real_data_set_imports_with_a_few_lines(name: str) -> None:
    toml, expected, answer = SETS[name]
    assert len(toml.strip().splitlines()) <= 5
    [entry] = load_tasks([table(toml)], 0, DATA)
    assert sizes(entry.task) == expected
    assert any(answer in example.output for example in entry.task.train + entry.task.valid)
    inputs = {example.input for example in entry.task.train}
    assert inputs.isdisjoint(example.input for example in entry.task.valid + entry.task.test)


def test_eighteen_tasks_come_from_one_pattern() -> None:
    entries = load_tasks([table('source = "bbh/*.json"\nname = "bbh"')], 0, DATA)
    assert len(entries) == 18
    assert sum(len(found.task.train) + len(found.task.valid) for found in entries) == 4261


@pytest.mark.parametrize("name", SETS)
def test_the_checks_find_no_error_in_real_data(name: str) -> None:
    [loaded] = load(table(SETS[name][0]), DATA)
    assert errors(check(loaded)) == []


def test_the_checks_find_what_is_wrong_with_real_data() -> None:
    [loaded] = load(table(SETS["banking77"][0]), DATA)
    found = {problem.message.split(":")[0].split(" /")[0] for problem in check(loaded)}
    assert "test input that is also in train" in found
    [loaded] = load(table(SETS["nli"][0]), DATA)
    assert "label '-' never occurs in train" in [problem.message for problem in check(loaded)]
