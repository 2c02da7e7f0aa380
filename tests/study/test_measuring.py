"""What an adapter of a study is asked, and that nothing known is asked again."""

from pathlib import Path
from typing import Any

import pytest

from tests.study.made import recipe
from yofo_mlx.models.base import Base, load_base
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.study import measuring
from yofo_mlx.study.measuring import asked, key_of, measure_task
from yofo_mlx.study.results import Result
from yofo_mlx.tasks.registry import TaskEntry, load_tasks


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture(scope="module")
def entry() -> TaskEntry:
    (found,) = load_tasks([TaskSource(source="tiny:new-topic-00", role="held_out")], 0, Path())
    return found


SMALL = recipe(template={"style": "plain"}, episodes={"max_tokens": 400})


def test_a_seed_draws_other_demonstrations_for_the_same_queries(
    base: Base, entry: TaskEntry
) -> None:
    (_, first), (_, second) = (asked(base, SMALL, entry, seed) for seed in (0, 1))
    assert [key_of(one) for one in first.queries] == [key_of(one) for one in second.queries]
    assert first.draws[0].tokens != second.draws[0].tokens
    assert len(first.draws) == len(second.draws) == 1


def test_only_numbers_of_shots_without_a_score_are_asked(
    base: Base, entry: TaskEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Result(arm="base", seed=0)
    measure_task(base, SMALL, entry, 0, result, lambda: None)
    assert {*result.cells[entry.task.name]} == {0, 2}
    before = {shots: dict(cell) for shots, cell in result.cells[entry.task.name].items()}
    handed: list[dict[str, Any]] = []
    really = measuring.measure

    def watched(*words: Any, **more: Any) -> Any:
        handed.append(dict(words[-1]))
        return really(*words, **more)

    monkeypatch.setattr(measuring, "measure", watched)
    shots = SMALL.evaluation.model_copy(update={"shots": (0, 2, 4)})
    more = SMALL.model_copy(update={"evaluation": shots})
    measure_task(base, more, entry, 0, result, lambda: None)
    assert [{*known} for known in handed] == [{"0/0", "0/2"}]
    cells = result.cells[entry.task.name]
    assert {shots: cells[shots] for shots in before} == before and len(cells[4]) == 3
    assert result.tasks[entry.task.name].asked == {0: 3, 2: 3, 4: 3}
    assert result.tasks[entry.task.name].room == {0: 400, 2: 400, 4: 400}


def test_what_is_told_beside_a_score_is_kept(base: Base) -> None:
    source = TaskSource(source="tiny:new-themes-00", role="held_out")
    (entry,) = load_tasks([source], 0, Path())
    result = Result(arm="base", seed=0)
    for _ in range(2):  # the second time nothing is asked
        measure_task(base, SMALL, entry, 0, result, lambda: None)
        kept = Result.model_validate_json(result.model_dump_json()).beside[entry.task.name]
        assert {*kept} == {0, 2} and {*kept[2]} == {"micro_f1", "macro_f1"}
