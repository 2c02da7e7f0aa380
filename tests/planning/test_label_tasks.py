"""Label tasks of a recipe: what is refused before tokens are made, and what is told."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ByteTokenizer
from yofo_mlx.errors import RecipeError
from yofo_mlx.planning.workload import Workload, make_workload
from yofo_mlx.recipe.file import validate
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.tasks.registry import load_tasks

WORDS = "apple bridge candle dragon engine forest garden hammer island jacket".split()


def recipe_of(folder: Path, *tasks: dict[str, Any], **episodes: Any) -> Recipe:
    (folder / "a.csv").write_text(
        "input,output\n" + "".join(f"{WORDS[n % 10]} {n},l{n % 4}\n" for n in range(60))
    )
    (folder / "sums.csv").write_text(
        "input,output\n" + "".join(f"{n}+1,{n + 1}\n" for n in range(60))
    )
    tables = [{"source": str(folder / "a.csv"), **task} for task in tasks]
    return validate(
        {
            "model": "tiny",
            "train": {"steps": 1},
            "episodes": {"max_tokens": 200, **episodes},
            "tasks": tables,
        },
        "mine.toml",
    )


def workload_of(recipe: Recipe) -> Workload:
    return make_workload(recipe, load_tasks(recipe.tasks, 0, Path()), ByteTokenizer())


def refusal(recipe: Recipe) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        workload_of(recipe)
    return caught.value


def test_all_tasks_with_fewer_labels_than_a_subset_asks_for_are_named_at_once(
    tmp_path: Path,
) -> None:
    sums = str(tmp_path / "sums.csv")
    tasks = (
        {"name": "a", "groups": {"x": ["l0", "l1"], "y": ["l2", "l3", "l1"]}},
        {"name": "b", "label_subset": [5, 6]},
        {"name": "c", "label_subset": False},
        {"name": "d", "source": sums, "family": "math", "label_subset": [2, 3]},
        {"name": "e", "source": sums, "family": "math"},
    )
    error = refusal(recipe_of(tmp_path, *tasks, label_subset=[4, 8]))
    assert error.message.endswith(
        "a-x has 2, not 4; a-y has 3, not 4; b has 4, not 5; d is of family math"
    )
    assert "`false`" in error.hint


def test_a_task_has_its_own_subset_or_none_and_tasks_without_labels_stay(tmp_path: Path) -> None:
    sums = {"name": "d", "source": str(tmp_path / "sums.csv"), "family": "math"}
    tasks = ({"name": "a", "label_subset": [2, 2]}, {"name": "b", "label_subset": False}, sums)
    recipe = recipe_of(tmp_path, *tasks, label_subset=[3, 3], draw="full", rename_labels=0.5)
    seen: dict[str, set[int]] = {"a": set(), "b": set(), "d": set()}
    renamed = set()
    sampler = workload_of(recipe).sampler
    for step in range(60):
        [episode] = sampler.draw(step, 0, 1)
        answers = {tuple(episode.tokens[start:end]) for start, end in episode.answers}
        seen[episode.task].add(len(answers))
        renamed |= {episode.task} if episode.renamed else set()
    assert seen["a"] == {2} and max(seen["b"]) == 4 and max(seen["d"]) > 4
    assert renamed == {"a", "b"}


def test_labels_without_words_to_become_are_refused_with_their_numbers(tmp_path: Path) -> None:
    few = recipe_of(tmp_path, {"name": "a"}, {"name": "b"}, rename_labels=0.5)
    for table in few.tasks:
        Path(table.source).write_text(
            "input,output\n" + "".join(f"apple {n},l{n % 4}\n" for n in range(60))
        )
    error = refusal(few)
    assert error.message.endswith("a needs 4, there are 1; b needs 4, there are 1")
    assert "label_subset" in error.hint and "rename_labels" in error.hint


def test_labels_that_a_held_out_task_shares_with_a_trained_one_are_told(tmp_path: Path) -> None:
    groups = {"x": ["l0", "l1"]}
    held = {"name": "h", "role": "held_out", "groups": {"y": ["l1", "l2"], "z": ["l3"]}}
    workload = workload_of(recipe_of(tmp_path, {"name": "a", "groups": groups}, held))
    told = [message for message, _ in workload._leaks() if "labels" in message]
    assert told == ["rows and labels of held-out tasks are trained on: h-y: l1"]


def test_rows_to_validate_with_that_another_task_trains_on_are_told(tmp_path: Path) -> None:
    def told(*tasks: dict[str, Any]) -> list[str]:
        workload = workload_of(recipe_of(tmp_path, *tasks))
        return [message for message, _ in workload._leaks() if "validations tell less" in message]

    [message] = told({"name": "a", "groups": {"x": ["l0", "l1"], "y": ["l1", "l2"]}})
    assert "queries of training task a-" in message
    assert told({"name": "a"}, {"name": "b"})
    assert not told({"name": "a", "groups": {"x": ["l0", "l1"], "y": ["l2", "l3"]}})
