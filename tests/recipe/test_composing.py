"""Recipes of several files: what beats what, whose paths they are, whose mistakes; `--dry-run`."""

import os
import shutil
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from tui.shared.recipes import about_recipe, find_recipes, is_recipe
from yofo_mlx.errors import RecipeError
from yofo_mlx.models.base import model_path
from yofo_mlx.recipe.compose import compose
from yofo_mlx.recipe.file import find_recipe, shipped_recipes
from yofo_mlx.runs import listing
from yofo_mlx.runs.recipe import load_part, load_recipe
from yofo_mlx.runs.trained import trained
from yofo_mlx.system import paths

WHOLE = 'model = "tiny"\n[train]\nsteps = 3\n[[tasks]]\nsource = "tiny:topic-01"\n'
PUBLIC = "recipes/data/public.toml"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a file in a folder of its own, where we are."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        (path := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(*paths: Path, overrides: tuple[str, ...] = ()) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        load_recipe(paths, overrides)
    assert caught.value.hint and "\n" not in caught.value.message
    return caught.value


def test_later_files_beat_earlier_ones_key_by_key_and_set_beats_all(write: Any) -> None:
    base = write("base.toml", WHOLE + "[lora]\nrank = 4\nscale = 2.0\nkeys = ['a', 'b']\n")
    mine = write("mine.toml", "[lora]\nscale = 5.0\nkeys = ['c']\n[optimizer]\neps = 1e-6\n")
    last = write("last.toml", "lora.dropout = 0.5\noptimizer.eps = 1e-5\n")
    recipe = load_recipe([base, mine, last], ["lora.dropout=0.25"])
    lora = recipe.lora
    assert (lora.rank, lora.scale, lora.keys, lora.dropout) == (4, 5.0, ("c",), 0.25)
    assert recipe.optimizer.eps == 1e-5 and recipe.train.steps == 3
    assert load_recipe([last, mine, base]).optimizer.eps == 1e-6


VALUES = st.one_of(st.integers(0, 2), st.booleans(), st.lists(st.integers(0, 2), max_size=2))
TABLES = st.dictionaries(st.sampled_from("steps tokens rank keys".split()), VALUES, max_size=3)
KEYS = "model revision trust_remote_code lora train tasks".split()
FILES = st.dictionaries(st.sampled_from(KEYS), VALUES | TABLES | st.lists(TABLES, max_size=2))


def naively(files: list[dict[str, Any]]) -> dict[str, Any]:
    """Put files together a key at a time."""
    whole: dict[str, Any] = {}
    for said in files:
        if "model" in whole and said.get("model", whole["model"]) != whole["model"]:
            whole = {key: whole[key] for key in whole if key not in KEYS[1:3]}
        for key, value in said.items():
            if not (isinstance(value, dict) and isinstance(whole.get(key), dict)):
                whole[key] = dict(value) if isinstance(value, dict) else value
                continue
            if key == "train" and ("steps" in value or "tokens" in value):
                whole[key].pop("steps", None)
                whole[key].pop("tokens", None)
            whole[key] |= value
    return whole


@given(st.lists(FILES, min_size=1, max_size=4))
def test_files_are_put_together_as_by_hand(files: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.toml") for number in range(len(files))]
        for path, said in zip(paths, files, strict=True):
            path.write_text(tomlkit.dumps(said))
        whole = compose(paths)
    assert whole.data == naively(files)
    last = {key: path for path, said in zip(paths, files, strict=True) for key in said}
    assert {key: whole.origins[(key,)] for key in last} == last


def test_data_sets_are_replaced_whole(write: Any) -> None:
    base = write("base.toml", WHOLE + "limit = 7\n[[tasks]]\nsource = 'tiny:held_out'\n")
    mine = write("mine.toml", "[[tasks]]\nsource = 'tiny:train'\n")
    (task,) = load_recipe([base, mine]).tasks
    assert task.limit is None


def test_the_later_length_counts_and_another_model_takes_back_what_was_said_of_it(
    write: Any,
) -> None:
    base = write("base.toml", WHOLE + "[lora]\nrank = 2\n")
    mine = write("mine.toml", "train.tokens = 99\n")
    assert load_recipe([base, mine]).train.tokens == 99
    assert load_recipe([base, mine, base]).train.steps == 3
    both = write("both.toml", "train = {steps = 1, tokens = 2}\n")
    assert "exactly one of" in refused(base, both).message
    pinned = write("pinned.toml", "revision = 'abc'\ntrust_remote_code = true\nmodel = 'a/b'\n")
    assert load_recipe([base, pinned]).revision == "abc"
    other = load_recipe([base, pinned, write("other.toml", "model = 'c/d'\n")])
    assert other.revision is None and not other.trust_remote_code
    common = write("common.toml", "trust_remote_code = true\n")
    assert load_recipe([common, base]).trust_remote_code


def test_an_update_in_tokens_and_fixed_shots_take_back_what_they_come_instead_of(
    write: Any,
) -> None:
    size = "batch_size = 2\ngrad_accumulation_steps = 3\n"
    shots = "[episodes]\nmax_shots = 3\nmin_shots = 1\n[objective]\ntargets = 'last'\n"
    base = write("base.toml", WHOLE.replace("[train]\n", f"[train]\n{size}") + shots)
    mine = write("mine.toml", "train.batch_tokens = 99\nepisodes.fixed_shots = 2\n")
    by_set = load_recipe(base, ["train.batch_tokens=99", "episodes.fixed_shots=2"])
    for recipe in (load_recipe([base, mine]), by_set):
        train, episodes = recipe.train, recipe.episodes
        assert (train.batch_tokens, train.batch_size, train.grad_accumulation_steps) == (99, 1, 1)
        assert (episodes.fixed_shots, episodes.min_shots, episodes.max_shots) == (2, 0, None)
    back = load_recipe([base, mine, base])
    assert (back.train.batch_tokens, back.train.batch_size) == (None, 2)
    assert (back.episodes.fixed_shots, back.episodes.max_shots) == (None, 3)
    again = load_recipe([base, mine], ["train.batch_size=4", "episodes.label_subset=[2,3]"])
    assert (again.train.batch_tokens, again.episodes.fixed_shots) == (None, None)


@pytest.mark.parametrize(
    "key",
    ["min_shots=1", "max_shots=0", "draw='full'", "label_subset=[2,3]", "rename_labels=0.5"],
)
def test_no_key_stands_idle_beside_fixed_shots(write: Any, key: str) -> None:
    shots = f"[objective]\ntargets = 'last'\n[episodes]\nfixed_shots = 2\n{key}\n"
    name = key.partition("=")[0]
    message = refused(write("a.toml", WHOLE + shots)).message
    assert f"`fixed_shots` comes instead of `{name}`" in message


def test_no_task_has_labels_of_its_own_beside_fixed_shots(write: Any) -> None:
    path = write("a.toml", WHOLE)
    words = ["objective.targets=last", "episodes.fixed_shots=2", "tasks.0.label_subset=[2,3]"]
    assert load_recipe(path, words[:2]).episodes.fixed_shots == 2
    with pytest.raises(RecipeError, match="comes instead of `label_subset`"):
        load_recipe(path, words)


def test_another_model_by_set_takes_back_what_files_said_of_it_and_nothing_that_set_says(
    write: Any,
) -> None:
    path = write("a.toml", f"revision = 'abc'\ntrust_remote_code = true\n{WHOLE}")
    other = load_recipe(path, ["model=c/d"])
    assert other.revision is None and not other.trust_remote_code
    pinned = load_recipe(path, ["revision=v1", "trust_remote_code=true", "model=c/d"])
    assert pinned.revision == "v1" and pinned.trust_remote_code
    assert load_recipe(path, ["model=tiny"]).revision == "abc"
    part = write("part.toml", WHOLE.replace('model = "tiny"', "trust_remote_code = true"))
    assert load_recipe(part, ["model=c/d"]).trust_remote_code


def test_what_a_file_includes_comes_before_it_at_any_depth(write: Any) -> None:
    write("parts/deep.toml", "[lora]\nrank = 5\nscale = 5.0\n")
    write("parts/shared.toml", "include = 'deep.toml'\n[lora]\nscale = 6.0\ndropout = 0.5\n")
    write("own.toml", "[lora]\ndropout = 0.1\n")
    path = write("mine.toml", f"include = ['parts/shared.toml', 'own.toml']\n{WHOLE}")
    lora = load_recipe(path).lora
    assert (lora.rank, lora.scale, lora.dropout) == (5, 6.0, 0.1)


def test_what_two_files_include_beats_neither_of_them(write: Any) -> None:
    write("common.toml", "[lora]\nrank = 1\n")
    write("one.toml", "include = 'common.toml'\n[lora]\nrank = 2\n")
    write("two.toml", "include = 'common.toml'\n")
    assert (
        load_recipe(write("mine.toml", f"include = ['one.toml', 'two.toml']\n{WHOLE}")).lora.rank
        == 2
    )
    again = [Path("mine.toml"), Path("common.toml")]
    assert load_recipe(again).lora.rank == 1  # whoever names it last wants it to win


def test_paths_are_relative_to_the_file_they_are_in(write: Any, tmp_path: Path) -> None:
    for folder in ("data", "mine", "."):
        write(f"{folder}/rows.csv", "input,output\na,b\n")
        write(f"{folder}/more/one.csv", "input,output\na,b\n")
        shutil.copytree(model_path("tiny"), tmp_path / folder / "models" / "m")
    write("data/sets.toml", "[[tasks]]\nsource = 'rows.csv'\n[[tasks]]\nsource = 'more/*.csv'\n")
    path = write(
        "mine/a.toml", "include = '../data/sets.toml'\nmodel = 'models/m'\ntrain.steps = 1\n"
    )
    recipe = load_recipe([path, write("over.toml", "lora.rank = 2\n")], ["tasks.1.limit=3"])
    found = [os.path.normpath(task.source) for task in recipe.tasks]
    assert found == [str(tmp_path / "data" / name) for name in ("rows.csv", "more/*.csv")]
    assert recipe.model == str(tmp_path / "mine" / "models" / "m")
    assert load_recipe(path, ["tasks.0.source=rows.csv"]).tasks[0].source == str(
        tmp_path / "rows.csv"
    )


def test_an_adapter_to_begin_with_is_found_beside_the_file_that_names_it(
    write: Any, yofo: Any, tmp_path: Path
) -> None:
    base = write("base.toml", WHOLE.replace("3", "1") + "[evaluation]\nshots = [0]\nqueries = 1\n")
    assert yofo("train", base, "--set", "episodes.max_tokens=96")[0] == 0
    write("parts/first.toml", "init_adapter = 'kept'\n")
    shutil.copytree(listing.find("last").adapter_path, tmp_path / "parts" / "kept")
    mine = write("mine.toml", "include = ['base.toml', 'parts/first.toml']\n")
    assert load_recipe(mine).init_adapter == str(tmp_path / "parts" / "kept")


def test_a_mistake_names_the_file_it_is_in(write: Any) -> None:
    base = write("base.toml", WHOLE + "[lora]\nrank = 3\nrnk = 1\n")
    mine = write("mine.toml", "include = 'part.toml'\n[lora]\nscale = 'x'\n")
    part = write("part.toml", "optimizr.eps = 1\n")
    message = refused(base, mine, overrides=("lora.rank=y", "seeed=1")).message
    assert message.startswith("5 mistakes: ")
    for part_of_it in (
        f"{base}: unknown key `lora.rnk`",
        f"{mine}: `lora.scale`",
        f"{part}: unknown key `optimizr`",
        "--set: `lora.rank`",
        "--set: unknown key `seeed`",
    ):
        assert part_of_it in message
    good = write("good.toml", WHOLE)
    assert refused(good, write("bad.toml", "seed = -1\n")).message.startswith(f"{good.parent}/bad")
    write("broken.toml", "a = \n")
    assert (
        "broken.toml is not valid TOML"
        in refused(write("c.toml", "include = 'broken.toml'")).message
    )
    low = refused(write("low.toml", WHOLE + "include = 'x'\n")).message
    assert "`tasks.0.include`, it belongs at the top of a file" in low
    assert "`include`" in refused(good, overrides=("include=tiny",)).message


@pytest.mark.parametrize(
    ("override", "is_of_the_file"),
    [
        ("tasks.0.limit=1", True),
        ("tasks.0.where.label=x", True),
        ("tasks.0.input=x", True),
        ("tasks.1.source=tiny:held_out", True),
        ("tasks.0.where.label=''", True),
        ("tasks.0.where.text=[]", False),
        ("tasks.0={source = 'a', inptu = 'x', where = {}}", False),
        ("tasks=[{source = 'a', inptu = 'x', where = {}}]", False),
    ],
)
def test_what_set_did_not_set_is_no_mistake_of_it(
    write: Any, override: str, is_of_the_file: bool
) -> None:
    bad = "inptu = 'x'\nwhere = {label = 'a', text = {inn = 3}}\n"
    path = write("a.toml", WHOLE + bad)
    message = refused(path, overrides=(override,)).message
    assert f"{path}: " in message if is_of_the_file else "--set: " in message
    assert ("--set" in message) != is_of_the_file


@pytest.mark.parametrize(
    ("include", "words"),
    [
        ("'none.toml'", "there is no recipe 'none.toml'"),
        ("['parts']", "'parts' is a folder"),
        ("''", "must be a file or a list of files"),
        ("3", "must be a file or a list of files"),
        ("[['a']]", "must be a file or a list of files"),
        ("'~nobody-of-this-name/a.toml'", "there is no recipe '~nobody-of-this-name/a.toml'"),
        ("'/dev/null'", "there is no recipe '/dev/null'"),
        ('"a\\u0000b"', "there is no recipe"),
        (f"'{'a' * 5000}'", "there is no recipe"),
        ("'*.toml'", "there is no recipe '*.toml'"),
    ],
)
def test_what_cannot_be_included_is_refused_by_the_file_that_names_it(
    write: Any, include: str, words: str
) -> None:
    write("parts/a.toml", "")
    write("in.toml", f"include = {include}\n{WHOLE}")
    error = refused(write("out.toml", "include = 'in.toml'\n"))
    assert "in.toml: `include`" in error.message and words in error.message


def test_a_circle_is_refused_with_the_files_it_goes_through(write: Any) -> None:
    path = write("a.toml", "include = 'b.toml'\n")
    write("b.toml", "include = 'c/c.toml'\n")
    write("c/c.toml", "include = '../a.toml'\n")
    message = refused(path).message
    assert "includes itself" in message
    assert [Path(one.split()[-1]).name for one in message.split(" > ")] == [
        "a.toml",
        "b.toml",
        "c.toml",
        "a.toml",
    ]
    assert "includes itself" in refused(write("self.toml", "include = 'self.toml'\n")).message


def test_a_thousand_files_and_their_every_path_are_read_once(write: Any) -> None:
    write("0.toml", WHOLE)
    for number in range(1, 1000):
        twice = f"'{number - 1}.toml', '{max(0, number - 2)}.toml'"
        write(f"{number}.toml", f"include = [{twice}]\nseed = {number}\n")
    assert load_recipe(Path("999.toml")).seed == 999


def test_home_and_absolute_paths_marks_and_empty_files_are_fine(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write("home/a.toml", "lora.rank = 3\n")
    whole = write("parts/whole.toml", "﻿" + WHOLE)
    path = write("mine.toml", f"include = ['{whole}', '~/a.toml', 'empty.toml']\n")
    write("empty.toml", "")
    assert load_recipe(path).lora.rank == 3
    assert "`tasks` is missing" in refused(Path("empty.toml")).message
    assert load_recipe([path, Path("empty.toml")]) == load_recipe(path)


def test_a_run_of_several_files_keeps_what_they_were_together(
    write: Any, yofo: Any, tmp_path: Path
) -> None:
    write("parts/base.toml", WHOLE + "[evaluation]\nshots = [0]\nqueries = 1\n")
    write("base.toml", "include = 'parts/base.toml'\nepisodes.max_tokens = 96\n")
    write("mine.toml", "[train]\nsteps = 2\n")
    code, _, err = yofo("train", "base.toml", "mine.toml")
    assert code == 0, err
    run = listing.find("last")
    assert run.run_id.endswith("-base-mine")
    recipe = load_recipe([Path("base.toml"), Path("mine.toml")])
    shutil.rmtree(tmp_path / "parts")
    assert trained(run).recipe == load_recipe(run.recipe_path) == recipe
    assert "include" not in run.recipe_path.read_text()
    assert yofo("resume", "last", "--set", "train.steps=3")[0] == 0


@pytest.mark.parametrize("verb", ["show", "plan", "recipes check", "doctor"])
def test_every_verb_that_takes_a_recipe_takes_several(write: Any, yofo: Any, verb: str) -> None:
    base = write("base.toml", WHOLE + "[lora]\nrank = 0\n")
    write("mine.toml", "lora.rank = 1\nepisodes.max_tokens = 96\n")
    assert yofo(*verb.split(), base)[0] == 2
    code, _, err = yofo(*verb.split(), base, "mine.toml", "--set", "train.steps=1")
    assert code == 0, err
    assert "base.toml mine.toml --set train.steps=1" in err  # what comes next is of the same


@pytest.mark.parametrize("verb", ["show", "train", "train --detach"])
def test_mistakes_of_the_data_lead_to_the_file_that_names_them(
    write: Any, yofo: Any, verb: str
) -> None:
    write("base.toml", WHOLE)
    write("parts/sets.toml", "[[tasks]]\nsource = 'none.csv'\n")
    write("mine.toml", "include = 'parts/sets.toml'\n")
    code, _, err = yofo(*verb.split(), "base.toml", "mine.toml")
    assert code == 3 and "yofo data check parts/sets.toml" in err


def test_a_dry_run_prints_what_loads_again_and_creates_nothing(
    write: Any, yofo: Any, tmp_path: Path
) -> None:
    write("rows.csv", "input,output\na,b\n")
    write("my data.toml", "[[tasks]]\nsource = 'rows.csv'\nwhere = {input = ['a', 'b']}\n")
    mine = write("mine.toml", "include = ['mistral', 'my data.toml']\ndescription = 'ä\\u0007\"'\n")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = yofo("train", mine, "--dry-run", "--detach", "--set", "lora.rank=3")
    assert code == 0, err
    assert sorted(tmp_path.rglob("*")) == before and not paths.runs().exists()
    resolved = write("elsewhere/resolved.toml", out)
    assert load_recipe(resolved) == load_recipe(mine, ["lora.rank=3"])
    assert yofo("train", resolved, "--dry-run")[1] == out
    assert yofo("train", mine, "--dry-run", "--set", "lora.rank=x")[0] == 2


def test_data_sets_alone_are_no_recipe_but_can_be_included_and_looked_at(
    write: Any, yofo: Any
) -> None:
    public = paths.shipped_recipes() / "data" / "public.toml"
    assert find_recipe(PUBLIC) == public and public not in shipped_recipes()
    mine = write("mine.toml", f"include = '{PUBLIC}'\nmodel = 'tiny'\ntrain.steps = 1\n")
    assert load_recipe(mine).tasks == load_recipe(find_recipe("gemma")).tasks
    part = write("part.toml", "[[tasks]]\nsource = 'tiny:train'\n")
    assert load_part(part).tasks[0].source == "tiny:train"
    for verb in ("check", "preview"):
        code, _, err = yofo("data", verb, part)
        assert code == 0 and err.splitlines()[-1] == f"next: yofo show mistral {part}"
    assert load_recipe([find_recipe("mistral"), part]).tasks == load_part(part).tasks
    assert "`model` is missing" in refused(part).message


@pytest.mark.parametrize("name", [path.stem for path in shipped_recipes()])
def test_a_copy_of_a_shipped_recipe_stands_alone(yofo: Any, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy.toml"
    assert yofo("recipes", "copy", name, copy)[0] == 0
    shipped = paths.shipped_recipes() / f"{name}.toml"
    assert tomllib.loads(copy.read_text("utf-8")) == compose([shipped]).data
    first, last = (
        copy.read_text("utf-8").splitlines()[0],
        shipped.read_text("utf-8").splitlines()[0],
    )
    assert first == last  # remarks are kept


def test_only_shipped_recipes_are_copied(yofo: Any, write: Any, tmp_path: Path) -> None:
    write("mine", f"include = [\n'a.toml']\n{WHOLE}")
    code, _, err = yofo("recipes", "copy", "mine", "copy.toml")
    assert code == 2 and "there is no recipe 'mine'" in err
    assert yofo("recipes", "copy", "recipes/tiny.toml", "copy.toml")[0] == 0


def test_the_app_lists_recipes_that_include_and_no_parts_of_recipes(write: Any) -> None:
    write("data.toml", "description = 'hers'\n[[tasks]]\nsource = 'tiny:train'\n")
    mine = write("mine.toml", "include = 'data.toml'\nmodel = 'tiny'\ntrain.steps = 1\n")
    torn = write("torn.toml", "include = 'gone.toml'\nmodel = 'tiny'\n")
    settings = write("settings.toml", "[train]\nsteps = 1\n")
    ruff = write("ruff.toml", "include = ['src/**/*.py']\nline-length = 100\n")
    shown = [is_recipe(one) for one in (mine, torn, settings, ruff)]
    assert shown == [True, True, False, False]
    assert find_recipes(mine.parent)[:2] == [mine, torn]
    assert about_recipe(mine) == "hers" and "starting it shows why" in about_recipe(torn)
