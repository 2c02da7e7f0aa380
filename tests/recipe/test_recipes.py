"""Recipes: strict, all mistakes at once, overrides, the shipped ones."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.places import ROOT
from yofo_mlx import cli
from yofo_mlx.commands import recipes as command
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import find_recipe, shipped_recipes, to_toml, validate
from yofo_mlx.recipe.reference import reference
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import paths

MINIMAL = 'model = "tiny"\n[train]\nsteps = 3\n[[tasks]]\nsource = "tiny:train"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    return path


def mistakes(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return caught.value.message


@pytest.mark.parametrize("path", shipped_recipes(), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid_and_survives_being_written(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.description
    assert validate(tomllib.loads(to_toml(recipe)), "again") == recipe


def test_recipes_for_each_family_of_model_are_shipped() -> None:
    assert {"tiny", "mistral", "gemma"} <= {path.stem for path in shipped_recipes()}
    assert any("llama" in path.stem for path in shipped_recipes())


def test_the_mistral_recipe_trains_all_families_and_holds_tasks_out() -> None:
    recipe = load_recipe(paths.shipped_recipes() / "mistral.toml")
    families = {task.family for task in recipe.tasks if task.role == "train"}
    assert families >= {"classification", "multilabel", "summarization", "qa", "nli", "math"}
    assert any(task.role == "held_out" for task in recipe.tasks)


def test_all_mistakes_are_named_at_once_with_their_place(path: Path) -> None:
    message = mistakes(path, "lora.rnk=4", "episodes.max_tokens='x'", "optimizr.eps=1", "seed=-1")
    for part in (
        "4 mistakes",
        "`lora.rnk`, did you mean `rank`?",
        "`episodes.max_tokens`",
        "`optimizr`, did you mean `optimizer`?",
        "`seed`",
    ):
        assert part in message


def test_a_typo_inside_a_task_is_named_with_its_number(path: Path) -> None:
    assert "`tasks.0.inptu`, did you mean `input`?" in mistakes(path, "tasks.0.inptu=x")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("objective.targets=tokens", 'needs `normalize = "token"`'),
        ("template.output=x", "placeholder {output}"),
        ('template.output="{output}{output}"', "placeholder {output} once"),
        ('template.output="{output} "', "what ends an answer"),
        ("optimizer.learning_rate=inf", "finite number"),
        ("optimizer.betas=[1.0, 1.0]", "less than 1"),
        ("tasks.0.weight=nan", "finite number"),
        ("lora.num_layers=0", "-1 for all"),
        ("lora.keys=[]", "at least 1"),
        ("lora.rank=99999999999999999999", "less than or equal to 4096"),
        ("seed=" + "9" * 5000, "`seed`"),
        ("seed=" + "[" * 3000, "`seed`"),
        ('model=""', "at least 1 character"),
        ("evaluation.shots=[4, 2]", "rising"),
        ("tasks.0.role=held_out", 'no task has `role = "train"`'),
        ("train.batch_size=0", "greater than 0"),
        ("train.batch_tokens=2000000", "less than or equal to 1048576"),
        ("train={steps=1,batch_tokens=9,batch_size=2}", "instead of `batch_size`: give one"),
        ("episodes={fixed_shots=2,max_shots=0}", "instead of `max_shots`: give one"),
        ("episodes.fixed_shots=2", '`episodes.fixed_shots` needs `objective.targets = "last"`'),
        ("lora", "not of the form"),
        ("tasks.7.name=x", "not one of the 1 entries"),
        (f"tasks.{'9' * 5000}.name=x", "not one of the 1 entries"),
        ("tasks.00.name=x", "not one of the 1 entries"),
        ("tasks.-1.name=x", "not one of the 1 entries"),
        ("model.x.y=1", "inside a plain value"),
    ],
)
def test_values_that_make_no_sense_are_refused(path: Path, override: str, words: str) -> None:
    assert words in mistakes(path, override)


def test_overrides_beat_the_file_and_lists_can_be_reached(path: Path) -> None:
    recipe = load_recipe(path, ["lora.rank=3", "tasks.0.name=suite", "train.tokens=99"])
    assert (recipe.lora.rank, recipe.tasks[0].name) == (3, "suite")
    assert (recipe.train.tokens, recipe.train.steps) == (99, None)
    more = load_recipe(path, ["tasks.1={source = 'tiny:held_out'}", "tasks.2.source=tiny:train"])
    assert [task.source for task in more.tasks] == ["tiny:train", "tiny:held_out", "tiny:train"]


def test_a_value_that_is_set_is_all_of_the_text(path: Path) -> None:
    keys = ["tasks.0.separator=, ", "tasks.0.name=a\nb = 2", "lora.rank = 4", "model = tiny"]
    recipe = load_recipe(path, keys)
    assert (recipe.tasks[0].separator, recipe.tasks[0].name) == (", ", "a\nb = 2")
    assert (recipe.lora.rank, recipe.model) == (4, "tiny")


def test_one_mistake_in_a_task_is_one_mistake(path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, ["tasks.0.family=cls"])
    assert "mistakes" not in caught.value.message and "tasks.0.family" in caught.value.message


def test_paths_are_kept_relative_to_the_recipe(path: Path) -> None:
    (path.parent / "rows.jsonl").write_text("")
    path.write_text(MINIMAL.replace("tiny:train", "rows.jsonl"))
    assert load_recipe(path).tasks[0].source == str(path.parent / "rows.jsonl")


@pytest.mark.parametrize(
    "content", [b"model = ", b"\xff\xfe", b"a = [" * 5000, b"model = 1979-05-27"]
)
def test_a_file_that_is_no_recipe_is_refused_in_words(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert str(path) in mistakes(path)


def test_shipped_recipes_are_found_by_name_and_by_their_path_in_the_repository() -> None:
    for name in ("tiny", "recipes/tiny.toml"):
        assert find_recipe(name).samefile(paths.shipped_recipes() / "tiny.toml")
    with pytest.raises(RecipeError) as caught:
        find_recipe("mistrl")
    assert "did you mean mistral?" in caught.value.hint


def test_a_copy_never_overwrites(tmp_path: Path) -> None:
    target = tmp_path / "copy.toml"
    assert command.copy("tiny", target) == 0
    assert target.read_text() == (paths.shipped_recipes() / "tiny.toml").read_text()
    with pytest.raises(RecipeError, match="exists already"):
        command.copy("tiny", target)


def test_every_key_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    command.explain(None, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) > 50
    assert all(row["help"] for row in rows)
    assert {"key": "lora.rank", "type": "number", "default": "8"}.items() <= {
        row["key"]: row for row in rows
    }["lora.rank"].items()


def test_the_command_line_ends_with_2_and_two_lines(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["yofo", "recipes", "check", str(path), "--set", "lora.rnk=1"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_reference_in_the_docs_is_the_generated_one() -> None:
    written = (ROOT / "docs" / "recipe.md").read_text("utf-8")
    assert written == reference(), "python -m yofo_mlx.recipe.reference > docs/recipe.md"
