"""The draft of a run: changes, mistakes, and the recipe that a person would have written."""

import tomllib
from pathlib import Path

import pytest

from tui.runs import new_draft, new_files
from tui.runs.new_draft import Draft
from tui.runs.new_keys import as_text, as_value, facts_of
from tui.runs.new_text import own_text, text_of
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import to_toml
from yofo_mlx.runs import listing
from yofo_mlx.runs.recipe import load_recipe

MINE = """\
# Card intents, by hand.
description = "what people ask"
model = "tiny"

[train]
tokens = 9000          # a minute

[[tasks]]              # from the shop
source = "a.csv"
input = "text"

# Never seen in training.
[[tasks]]
source = "tiny:new-topic-01"
role = "held_out"
"""


@pytest.fixture
def draft(empty_folder: Path) -> Draft:
    (empty_folder / "a.csv").write_text("text,output\nx,y\n")
    (empty_folder / "mine.toml").write_text(MINE)
    return new_draft.begin(empty_folder / "mine.toml", {}, [])


def test_a_change_is_what_the_recipe_does_not_say_anyhow(draft: Draft) -> None:
    draft.put("episodes.max_tokens", "512")
    draft.put("lora.rank", "8")  # its default
    draft.put("train.tokens", "9000")  # as the recipe has it
    assert draft.changes == {"episodes.max_tokens": 512}
    assert draft.is_changed and draft.is_other("episodes.max_tokens")
    draft.reset("episodes.max_tokens")
    assert not draft.is_changed


def test_of_steps_and_tokens_the_one_that_was_set_last_counts(draft: Draft) -> None:
    draft.put("train.steps", "20")
    assert draft.data()["train"] == {"steps": 20}
    draft.put("train.tokens", "500")
    assert not draft.mistakes() or "train" in draft.mistakes()
    draft.reset("train.steps")
    assert draft.data()["train"] == {"tokens": 500} and not draft.mistakes()


def test_each_mistake_is_at_its_key(draft: Draft) -> None:
    draft.put("optimizer.learning_rate", "fast")
    draft.put("lora.num_layers", "0")
    draft.put("tasks.1.limit", "-3")
    wrong = draft.mistakes()
    assert wrong["optimizer.learning_rate"] == "must be a number (it is 'fast')"
    assert "num_layers" in wrong["lora"] and "greater than 0" in wrong["tasks.1.limit"]
    for key in ("optimizer.learning_rate", "lora.num_layers", "tasks.1.limit"):
        draft.reset(key)
    assert not draft.mistakes() and not draft.is_changed


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("optimizer.learning_rate", "2e-4", 2e-4),
        ("episodes.label_subset", "[4, 12]", [4, 12]),
        ("template.output", r" {output}\n", " {output}\n"),
        ("tasks.0.instruction", 'Say "yes".', 'Say "yes".'),
        ("tasks.0.instruction", r"a\x", r"a\x"),
        ("description", '"17"', "17"),
        ("evaluation.choice", "true", True),
        ("objective.targets", "last", "last"),
        ("train.steps", "", None),
    ],
)
def test_what_is_typed_is_read_as_its_key_means_it(key: str, text: str, value: object) -> None:
    assert as_value(key, text) == value
    assert as_value(key, as_text(value)) == value


def test_the_text_keeps_remarks_and_says_only_what_differs(draft: Draft) -> None:
    draft.put("train.tokens", "500")
    draft.put("train.eval_every", "5")
    draft.put("memory.limit_gb", "9.5")
    draft.put("tasks.0.limit", "100")
    text = text_of(draft, draft.recipe.parent)
    wanted = MINE.replace("tokens = 9000 ", "tokens = 500 ")
    wanted = wanted.replace(
        "# a minute\n", "# a minute\neval_every = 5\n\n[memory]\nlimit_gb = 9.5\n"
    )
    wanted = wanted.replace('input = "text"\n', 'input = "text"\nlimit = 100\n')
    assert text.split() == wanted.split()
    assert text.index("[memory]") < text.index("[[tasks]]")


def test_a_data_set_goes_with_the_remarks_above_it_and_another_comes_last(draft: Draft) -> None:
    draft.drop(1)
    draft.add({"source": "b.csv", "role": "held_out"})
    text = text_of(draft, draft.recipe.parent)
    assert "Never seen" not in text and "# from the shop" in text
    assert text.endswith('\n\n[[tasks]]\nsource = "b.csv"\nrole = "held_out"\n')


def test_a_recipe_written_elsewhere_finds_the_same_files(draft: Draft, tmp_path: Path) -> None:
    draft.put("train.tokens", "500")
    (tmp_path / "deep").mkdir()
    saved = new_files.save(draft, tmp_path / "deep" / "b.toml")
    assert tomllib.loads(saved.recipe.read_text())["tasks"][0]["source"] == "../a.csv"
    assert Path(saved.whole()["tasks"][0]["source"]).samefile(draft.whole()["tasks"][0]["source"])
    with pytest.raises(RecipeError, match="exists already"):
        new_files.save(draft, saved.recipe)
    with pytest.raises(RecipeError, match="no name of a recipe"):
        new_files.save(draft, tmp_path / "b.csv")
    assert new_files.save(saved, saved.recipe).recipe == saved.recipe


def test_the_recipe_of_a_run_is_brought_down_to_what_differs(draft: Draft) -> None:
    run = listing.create("cards")
    run.recipe_path.write_text(to_toml(load_recipe(draft.recipe)))
    again = new_draft.begin(run.recipe_path, {"memory.limit_gb": 4.0}, [])
    assert again.name == "cards"
    assert len(own_text(again).splitlines()) < 16
    text = text_of(again, draft.recipe.parent)
    assert "limit_gb = 4.0" in text and "rank" not in text
    assert 'source = "a.csv"' in text and str(draft.recipe.parent) not in text


def test_a_started_draft_is_a_recipe_of_its_own_and_an_unchanged_one_is_the_recipe(
    draft: Draft,
) -> None:
    assert new_files.file_of(draft) == draft.recipe
    draft.put("train.steps", "7")
    draft.drop(1)
    path = new_files.file_of(draft)
    recipe = load_recipe(path)
    assert path != draft.recipe and recipe.train.steps == 7 and recipe.train.tokens is None
    assert [task.source for task in recipe.tasks] == [str(draft.recipe.parent / "a.csv")]


def test_what_an_editor_made_of_it_is_taken_over(draft: Draft, tmp_path: Path) -> None:
    draft.put("lora.rank", "4")
    path = tmp_path / "edited" / "x.toml"
    path.parent.mkdir()
    text = text_of(draft, path.parent)
    path.write_text(text.replace("rank = 4", "rank = 2").replace("tokens = 9000", "steps = 3"))
    edited = new_files.taken_over(draft, path)
    assert edited.changes == {"train.steps": 3, "train.tokens": None, "lora.rank": 2}
    assert edited.tasks is None and not edited.mistakes()


def test_a_draft_is_kept_until_it_is_started(draft: Draft) -> None:
    new_draft.keep(draft)
    assert new_draft.kept() is None  # it says nothing but its recipe
    draft.put("train.steps", "7")
    draft.name = "sevens"
    draft.add({"source": "b.csv"})
    new_draft.keep(draft)
    assert new_draft.kept() == draft
    new_draft.kept_path().write_text("{torn")
    assert new_draft.kept() is None
    new_draft.keep(draft)
    draft.recipe.unlink()
    assert new_draft.kept() is None
    new_draft.forget()


def test_keys_are_found_by_name_help_and_number_of_the_data_set(draft: Draft) -> None:
    assert "memory.limit_gb" not in draft.shown_keys([])
    assert "memory.limit_gb" in draft.shown_keys(["memory", "GB"])
    assert draft.shown_keys(["tasks.1.role"]) == ["tasks.1.role"]
    assert facts_of("tasks.1.role").choices == ("train", "held_out")


def test_data_beside_the_recipe_are_named_by_their_place_from_there(draft: Draft) -> None:
    folder = draft.recipe.parent
    (folder / "more").mkdir()
    given = [{"source": f"{folder}/a.csv"}, {"source": f"{folder}/more/b.csv"}]
    begun = new_draft.begin(draft.recipe, {}, given)
    assert [one["source"] for one in begun.sources] == ["a.csv", "more/b.csv"]
    for source in (f"{folder}/a.csv", "/elsewhere/c.csv", "tiny:topic-01"):
        begun.add({"source": source})
    assert [one["source"] for one in begun.sources[2:]] == ["/elsewhere/c.csv", "tiny:topic-01"]


def test_what_was_added_goes_along_to_another_recipe(draft: Draft) -> None:
    assert not draft.added()
    draft.put("tasks.0.limit", "9")  # the recipe's own, changed
    (draft.recipe.parent / "b.csv").write_text("q,output\n")
    draft.add({"source": "b.csv", "input": "q"})
    assert draft.added() == [{"source": f"{draft.recipe.parent}/b.csv", "input": "q"}]


def test_a_recipe_saved_beside_data_names_them_as_a_person_would(
    draft: Draft, tmp_path: Path
) -> None:
    elsewhere = draft.recipe.parent / "elsewhere"
    elsewhere.mkdir()
    draft.recipe = draft.recipe.rename(elsewhere / "mine.toml")
    draft.add({"source": f"{tmp_path}/b.csv"})
    assert 'source = "b.csv"' in text_of(draft, tmp_path)
    draft.recipe.unlink()
    with pytest.raises(RecipeError, match=f"{draft.recipe}: No such file"):
        new_files.save(draft, tmp_path / "c.toml")
