"""The real data sets import with a few lines of TOML each."""

import json
import re
import tomllib
from typing import Any

import pytest

from tests.places import DATA, ROOT
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.problems import errors
from yofo_mlx.tasks.registry import METRICS, TaskEntry, load_tasks
from yofo_mlx.tasks.sources import load
from yofo_mlx.tasks.task import Task

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(),
    reason="the real data sets are not beside this checkout (../shared/data)",
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


def documented() -> dict[str, dict[str, Any]]:
    """Return the tables of docs/data.md that are ready to use, by source; each is short."""
    text = (ROOT / "docs" / "data.md").read_text("utf-8")
    block = re.search(r"### Ready to use\n.*?```toml\n(.*?)```", text, re.DOTALL)
    assert block
    assert all(len(part.strip().splitlines()) <= 6 for part in block[1].split("\n\n"))
    return {task["source"]: task for task in tomllib.loads(block[1])["tasks"]}


def loaded_from_docs(source: str) -> list[TaskEntry]:
    keys = TaskSource.model_validate_json(json.dumps(documented()[source]))
    return load_tasks([keys], 0, DATA)


def test_a_domain_of_clinc150_is_one_table() -> None:
    [found] = loaded_from_docs("clinc150/data_full.json")
    domains = json.loads((DATA / "clinc150" / "domains.json").read_text("utf-8"))
    answers = {example.output for example in found.task.train}
    assert answers == set(domains["banking"]) and found.task.family == "classification"
    assert sum(sizes(found.task)) == 15 * 150
    assert f"{found.task.name}: 2,250 of 22,500 rows fit `where`" in found.notes[0]


def test_the_domains_of_clinc150_are_tasks_of_one_table() -> None:
    domains = json.loads((DATA / "clinc150" / "domains.json").read_text("utf-8"))
    keys = {"source": "clinc150/data_full.json", "records": "{split}", "name": "clinc"}
    groups = {name: tuple(labels) for name, labels in domains.items()}
    found = load_tasks([TaskSource(groups=groups, **keys)], 0, DATA)
    assert [one.task.name for one in found] == [f"clinc-{name}" for name in domains]
    assert all(sum(sizes(one.task)) in (2248, 2249, 2250) for one in found)
    assert [one.task.labels for one in found] == list(groups.values())


def test_multinli_goes_without_its_unlabelled_rows() -> None:
    [found] = loaded_from_docs("nli")
    assert found.task.labels == ("contradiction", "entailment", "neutral")
    assert sum(sizes(found.task)) == 2492


def test_big_bench_hard_is_a_task_for_each_file() -> None:
    names = {found.task.name for found in loaded_from_docs("bbh/*.json")}
    assert len(names) == 18 and "bbh/snarks" in names


def test_gsm8k_is_scored_by_its_last_number() -> None:
    [found] = loaded_from_docs("gsm8k")
    assert (found.task.family, found.answer_after, found.metric) == ("math", "####", "number")
    assert all("####" in example.output for example in found.task.test)


@pytest.mark.parametrize(
    ("name", "family"),
    [("gsm8k", "math"), ("banking77", "classification"), ("summarization", "summarization")],
)
def test_the_family_that_is_guessed_is_the_one_a_run_uses(name: str, family: str) -> None:
    splits = {"train": "test"} if name == "summarization" else None
    source = TaskSource(source=name, splits=splits)
    [entry], [loaded] = load_tasks([source], 0, DATA), load(source, DATA)
    assert entry.task.family == loaded.family == family and entry.guessed
    assert entry.metric == METRICS[loaded.family]
