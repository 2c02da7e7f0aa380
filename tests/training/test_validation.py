"""Validations: which one is the best, and what is said when none can be measured."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import letters_task
from tests.training.test_train import adapter_bytes, figures, kinds, run_it, small_recipe
from yofo_mlx.commands.display import event_line, shots_line
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.events import Event
from yofo_mlx.runs.folder import Run
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.tasks.task import Example
from yofo_mlx.training import validation

EVERY_STEP = ("train.eval_every=1", "train.steps=4", "evaluation.valid_tasks=1")
STILL = ("optimizer.learning_rate=1e-38", "optimizer.warmup=0.0", "lora.dropout=0.0")


@pytest.fixture(scope="module")
def entries() -> list[TaskEntry]:
    recipe = small_recipe()
    return load_tasks(recipe.tasks, recipe.seed, Path.cwd())[:2]


def of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["kind"] == kind]


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give validations these losses, in this order."""
    given: list[float] = []
    measure = validation.evaluate_entry

    def scripted(*arguments: Any, **options: Any) -> Any:
        scores, loss = measure(*arguments, **options), given.pop(0)
        return replace(scores, points=tuple(replace(p, loss=loss) for p in scores.points))

    monkeypatch.setattr(validation, "evaluate_entry", scripted)
    return given


def test_a_loss_that_is_no_number_is_never_the_best_and_is_told(
    entries: list[TaskEntry], losses: list[float]
) -> None:
    losses += [math.nan, 1.0, math.inf, 0.5]
    _, events = run_it(small_recipe(*EVERY_STEP), entries)
    assert [event["best"] for event in of_kind(events, "eval")] == [False, True, False, True]
    assert events[-1]["best_step"] == 4
    told = [event["message"] for event in of_kind(events, "warning")]
    assert sum("the validation loss is" in message for message in told) == 2


def test_without_any_number_the_last_adapter_is_kept_and_that_is_told(
    entries: list[TaskEntry], losses: list[float]
) -> None:
    losses += [math.nan] * 4
    run, events = run_it(small_recipe(*EVERY_STEP), entries)
    assert (events[-1]["best_step"], run.adapter_path.is_dir()) == (0, True)
    words = "no validation gave a number: the last adapter is kept"
    assert list(warnings_of(run)).count(words) == 1


def test_patience_counts_validations_without_a_number(
    entries: list[TaskEntry], losses: list[float]
) -> None:
    losses += [1.0, math.nan, math.nan, 0.5]
    _, events = run_it(small_recipe(*EVERY_STEP, "train.patience=2"), entries)
    assert (events[-1]["step"], events[-1]["best_step"]) == (3, 1)


def test_an_equal_loss_is_not_a_better_one(entries: list[TaskEntry]) -> None:
    recipe = small_recipe(*EVERY_STEP, *STILL, "train.patience=2")
    _, events = run_it(recipe, entries)
    found = of_kind(events, "eval")
    assert len({event["loss"] for event in found}) == 1
    assert [event["best"] for event in found] == [True, False, False]
    assert events[-1]["best_step"] == 1


def with_long_queries(entry: TaskEntry) -> TaskEntry:
    long = tuple(Example("word " * 100 + f"{n}", "yes") for n in range(3))
    return replace(entry, task=replace(entry.task, valid=long, test=()))


def warnings_of(run: Run) -> Iterator[str]:
    yield from (event["message"] for event in run.events() if event["kind"] == "warning")


def test_validations_that_cannot_be_measured_are_told_once(entries: list[TaskEntry]) -> None:
    recipe = small_recipe(*EVERY_STEP)
    silent = [with_long_queries(entry) for entry in entries[:1]]
    run, _ = run_it(recipe, silent, stop_after=2)
    run_it(recipe, silent, run=run)
    assert kinds(run)[-1] == "finished" and "eval" not in kinds(run)
    told = list(warnings_of(run))
    (why,) = [message for message in told if "cannot be measured (" in message]
    assert f"{silent[0].task.name}: none of its 3 queries fits 96 tokens" in why
    assert told.count("no validation can be measured: the last adapter is kept") == 1
    assert run.adapter_path.is_dir()


def test_one_task_that_cannot_be_measured_does_not_silence_the_others(
    entries: list[TaskEntry],
) -> None:
    recipe = small_recipe(*EVERY_STEP, "evaluation.valid_tasks=2")
    run, events = run_it(recipe, [with_long_queries(entries[0]), entries[1]])
    assert len(of_kind(events, "eval")) == 4
    assert any("validations: 1 of 2 cannot be measured" in message for message in warnings_of(run))


def test_metrics_are_apart_in_a_validation(entries: list[TaskEntry]) -> None:
    def limited(*overrides: str) -> Recipe:
        return small_recipe(*EVERY_STEP, "train.steps=1", "evaluation.valid_tasks=9", *overrides)

    mixed = [*entries, replace(entries[0], task=letters_task(), metric="rouge")]
    _, events = run_it(limited("evaluation.max_answer_tokens=2"), mixed)
    (found,) = of_kind(events, "eval")
    assert [(row["metric"], row["tasks"], row["shots"]) for row in found["by_shots"]] == [
        ("exact", 2, 0),
        ("exact", 2, 2),
        ("rouge", 1, 0),
        ("rouge", 1, 2),
    ]
    line = event_line(found)
    assert re.search(r"by shots: exact  0:\d+%  2:\d+%  rouge  0:\d+%  2:\d+%$", line)
    some = {"shots": 0, "accuracy": 0.5, "metric": "f1", "tasks": 18, "of": 40}
    assert shots_line([some]) == "f1 (18 of 40 tasks)  0:50%"


def test_samples_are_answers_to_the_same_queries_and_change_nothing_of_the_run(
    entries: list[TaskEntry],
) -> None:
    def trained(samples: int) -> tuple[list[Event], list[Any], bytes]:
        more = ("train.steps=2", "evaluation.valid_tasks=2", f"evaluation.samples={samples}")
        run, events = run_it(small_recipe(*EVERY_STEP, *more), entries)
        return of_kind(events, "sample"), [*figures(events)], adapter_bytes(run)

    none, *alone = trained(0)
    some, *beside = trained(1)
    assert alone == beside and not none
    assert [(one["step"], one["input"]) for one in some] == [
        (step, some[0]["input"]) for step in (1, 2)
    ]
    right = {True: 1.0, False: 0.0}
    for one in some:
        assert one["score"] == right[one["answer"] == one["expected"]] and one["shots"] > 0
        assert one["task"] == entries[0].task.name
        known = {(x.input, x.output) for x in (*entries[0].task.valid, *entries[0].task.test)}
        assert (one["input"], one["expected"]) in known
