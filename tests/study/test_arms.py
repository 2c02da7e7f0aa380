"""The arms: what each changes in a recipe."""

from pathlib import Path
from typing import Any

import pytest

from tests.study.made import plan, recipe
from yofo_mlx.errors import RecipeError
from yofo_mlx.study.arms import ARMS, chosen
from yofo_mlx.study.plan import Trial, as_asked


def trained(name: str, task: str | None = None, **study: Any) -> Any:
    return plan(**study).recipe_of(Trial(ARMS[name], 1, task=task), Path("data"))


WANTED = {
    "many-all": ("all", 0, None),
    "many-last": ("last", 0, None),
    "zero-shot": ("all", 0, 0),
    "few-last": ("last", 2, 2),
    "few-all": ("all", 2, 2),
    "many-all-renamed": ("all", 0, None),
    "many-all-values": ("all", 0, None),
    "s3ft": ("all", 0, 0),
    "many-all-s3ft": ("all", 0, None),
}


@pytest.mark.parametrize("name", WANTED)
def test_an_arm_is_a_few_keys_of_the_recipe(name: str) -> None:
    found = trained(name)
    episodes = found.episodes
    assert (found.objective.targets, episodes.min_shots, episodes.max_shots) == WANTED[name]
    assert found.seed == 1 and found.train.tokens == 500 and found.study is None
    assert episodes.rename_labels == (0.5 if name == "many-all-renamed" else 0)
    keys = ("self_attn.v_proj",) if name == "many-all-values" else None
    assert found.lora.keys == keys


def test_a_dedicated_adapter_has_one_task_and_tokens_of_its_own() -> None:
    found = trained("dedicated-64", "one", dedicated_tokens=90)
    own = [task for task in found.tasks if task.role == "train"]
    assert [task.name for task in own] == ["one (own rows)"] and found.train.tokens == 90
    assert (found.episodes.min_shots, found.episodes.max_shots) == (4, 4)
    assert found.objective.targets == "last"


def test_a_recipe_says_how_many_labels_are_renamed_in_the_one_arm_that_renames() -> None:
    of = plan()
    episodes = of.recipe.episodes.model_copy(update={"rename_labels": 0.25})
    changed = type(of)("made", of.recipe.model_copy(update={"episodes": episodes}), of.arms)
    renamed = changed.recipe_of(Trial(ARMS["many-all-renamed"]), Path())
    plain = changed.recipe_of(Trial(ARMS["many-all"]), Path())
    assert (renamed.episodes.rename_labels, plain.episodes.rename_labels) == (0.25, 0)


def test_a_fixed_prefix_comes_instead_of_what_else_draws_episodes() -> None:
    of = plan()
    changed = {"label_subset": (2, 3), "min_shots": 1, "rename_labels": 0.25, "draw": "full"}
    episodes = of.recipe.episodes.model_copy(update=changed)
    tasks = tuple(
        one.model_copy(update={"label_subset": (2, 2)} if one.role == "train" else {})
        for one in of.recipe.tasks
    )
    recipe = of.recipe.model_copy(update={"episodes": episodes, "tasks": tasks})
    whole = type(of)("made", recipe, of.arms)
    found = whole.recipe_of(Trial(ARMS["fticl"]), Path())
    assert found.episodes.fixed_shots == 2 and found.objective.targets == "last"
    assert (found.episodes.min_shots, found.episodes.label_subset) == (0, None)
    assert whole.recipe_of(Trial(ARMS["many-all"]), Path()).episodes.fixed_shots is None


def test_all_arms_have_equal_tokens_and_equal_tokens_a_step_whatever_a_recipe_counts() -> None:
    train = recipe(train={"steps": 10, "batch_size": 4, "eval_every": 2})
    found = as_asked(train).train
    assert (found.tokens, found.steps, found.batch_tokens) == (640, None, 64)
    assert (found.batch_size, found.eval_every) == (1, None)
    assert as_asked(recipe(train={"tokens": 99, "batch_tokens": 32}), tokens=7).train.tokens == 7


def test_an_unknown_arm_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(RecipeError, match="many-al") as caught:
        chosen(["base", "many-al"])
    assert "did you mean many-all?" in caught.value.hint
    assert [arm.name for arm in chosen(["many-last", "base"])] == ["base", "many-last"]
