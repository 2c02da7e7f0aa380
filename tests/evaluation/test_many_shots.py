"""As many shots as a context of 32k tokens holds."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.fakes import ByteTokenizer, random_llama
from yofo_mlx.evaluation.measure import evaluate_entry
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example, Task


@pytest.mark.long
def test_fifteen_hundred_shots_are_measured_in_a_context_of_32k_tokens() -> None:
    labels = ("up", "down")
    rows = [Example(f"number {n:04}", labels[n % 2]) for n in range(1504)]
    task = Task("many", "classification", tuple(rows[4:]), test=tuple(rows[:4]), labels=labels)
    entry = TaskEntry(task, "held_out", "exact", None, 1.0, "")
    recipe = Recipe.model_validate(
        {"model": "tiny", "train": {"steps": 1}, "tasks": ({"source": "x"},)}
        | {"evaluation": {"shots": (0, 100, 1500), "queries": 4, "choice": True}}
        | {"template": {"style": "plain", "input": "{input} = ", "output": "{output}\n"}}
        | {"episodes": {"max_tokens": 32768}}
    )
    base: Any = SimpleNamespace(model=random_llama(layers=1, width=16), tokenizer=ByteTokenizer())
    found = evaluate_entry(base, recipe, entry, texts="most")
    assert [point.shots for point in found.points] == [0, 100, 1500]
    assert found.passed_over == found.too_long == 0
    assert all(one.choice in labels and one.answer is not None for one in found.results["0/1500"])
