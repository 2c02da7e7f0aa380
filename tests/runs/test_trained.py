"""What was trained is what every later use of a run takes, wherever and whenever that is."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import HubServer, files_of, hub_fixture  # noqa: F401
from tui.prompt import models as tui_models
from yofo_mlx.commands.measuring import load_model
from yofo_mlx.errors import RecipeError, RunError, YofoError
from yofo_mlx.evaluation import subjects
from yofo_mlx.models.base import model_path
from yofo_mlx.prompting.demonstrations import style_of
from yofo_mlx.prompting.fingerprint import changed_model, model_fingerprint
from yofo_mlx.prompting.loading import find_source
from yofo_mlx.prompting.parameters import Load
from yofo_mlx.prompting.prompter import Prompter
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import ModelInfo, RunInfo
from yofo_mlx.runs.recipe import load_recipe, resolve
from yofo_mlx.runs.trained import trained, trained_tasks, undated
from yofo_mlx.system import paths
from yofo_mlx.tasks.reading import locate
from yofo_mlx.training.extension import lengthen
from yofo_mlx.training.setup import load

TINY = model_path("tiny")
RECIPE = """
model = "{model}"
train.steps = 1
episodes.max_tokens = 96
template.input = "{{input}} ->"
[[tasks]]
source = "rows.jsonl"
"""
ROWS = "".join(f'{{"input": "question {i}", "output": "yes"}}\n' for i in range(20))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with rows, and a model that another folder has by the same name."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for place in (here, elsewhere):
        shutil.copytree(TINY, place / "models" / "mine")
    (here / "rows.jsonl").write_text(ROWS)
    monkeypatch.chdir(here)
    return here


def write(folder: Path, model: str = "models/mine") -> Path:
    path = folder / "mine.toml"
    path.write_text(RECIPE.format(model=model))
    return path


def made(folder: Path, model: str = "models/mine", **fields: Any) -> Run:
    """Return the run of a recipe as it is once it was loaded."""
    run = launch.create_run(load_recipe(write(folder, model)), "mine")
    run.adapter_path.mkdir()
    if fields:
        run.note(model=ModelInfo(name=model, **fields))
    return run


@pytest.mark.parametrize(
    "spelling", ["models/mine", "./models/mine", "models/../models/mine", "models/mine/"]
)
def test_a_model_beside_the_recipe_is_absolute_however_it_is_spelt(
    folder: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, spelling)
    monkeypatch.chdir(folder.parent / "elsewhere")
    assert load_recipe(path).model == str(folder / "models" / "mine")


def test_two_dots_behind_a_link_lead_where_they_lead(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "inner").mkdir(parents=True)
    shutil.copytree(TINY, tmp_path / "far" / "model")
    (folder / "link").symlink_to(tmp_path / "far" / "inner")
    found = Path(load_recipe(write(folder, "link/../model")).model)
    assert found.samefile(tmp_path / "far" / "model")


def test_a_model_of_the_current_folder_is_found_for_a_recipe_of_another(folder: Path) -> None:
    (folder.parent / "recipes").mkdir()
    recipe = load_recipe(write(folder.parent / "recipes").rename(folder.parent / "recipes/a.toml"))
    assert recipe.model == str(folder / "models" / "mine")


def test_an_override_names_what_lies_in_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, "tiny")
    monkeypatch.chdir(folder.parent / "elsewhere")
    recipe = load_recipe(path, ["model=models/mine"])
    assert recipe.model == str(folder.parent / "elsewhere" / "models" / "mine")


def test_a_folder_called_as_an_id_on_the_hub_in_another_place_is_not_taken_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "models")
    run = made(folder)  # no such folder here: an id on the hub
    monkeypatch.chdir(folder.parent / "elsewhere")
    assert trained(run).recipe.model == "models/mine"
    with pytest.raises(Exception, match="models/mine: not on this machine"):
        model_path("models/mine")


def test_a_name_that_was_not_found_is_not_looked_up_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_recipe(write(folder, "tiny")).model_dump(mode="json")
    data["tasks"][0]["source"] = "owner/set"
    (folder / "owner" / "set").mkdir(parents=True)
    recipe = resolve(data, "run.json", None)
    assert recipe.tasks[0].source == "owner/set"
    with pytest.raises(Exception, match="owner/set"):  # asked of the hub, which is not there
        load(recipe)


def test_an_edited_recipe_is_told_and_not_used(folder: Path) -> None:
    run = made(folder, "tiny")
    assert trained(run).notes == trained(run, ["lora.rank=3", "tasks.0.limit=5"]).notes == []
    edited = run.recipe_path.read_text().replace("{input} ->", "{input} =>")
    run.recipe_path.write_text(edited.replace('"tiny"', '"owner/other"'))
    recipe, notes = trained(run)
    assert (recipe.model, recipe.template.input) == ("tiny", "{input} ->")
    assert len(notes) == 1 and "was edited after the run began" in notes[0][0]
    source = find_source(run.run_id, None, None)
    assert (source.model, source.template.input) == ("tiny", "{input} ->")
    assert source.notes == tuple(notes)
    assert list(tui_models.choices()) == [f"run:{run.run_id}", "model:tiny"]


def test_comments_and_blanks_are_no_edit(folder: Path) -> None:
    run = made(folder, "tiny")
    run.recipe_path.write_text("# mine\n\n" + run.recipe_path.read_text())
    assert trained(run).notes == []


def test_a_session_says_that_the_recipe_was_edited(folder: Path) -> None:
    run = made(folder, "tiny")
    run.recipe_path.write_text(run.recipe_path.read_text() + "\n[lora]\nrank = 3\n")
    wanted = Load(run="last", use_adapter=False)
    loaded = Prompter().load(wanted, None)  # type: ignore[arg-type]
    assert loaded["model"] == "tiny"
    assert [note for note in loaded["notes"] if "was edited" in note]


def test_a_run_keeps_to_the_commit_that_it_was_trained_on(
    folder: Path,
    hub: HubServer,
    tmp_path: Path,
) -> None:
    shutil.rmtree(folder / "models")
    hub.add("model", "owner/tiny", files_of(TINY))
    first = load(load_recipe(write(folder, "owner/tiny"))).base
    run = made(folder, "owner/tiny", path=str(first.path), revision=first.revision)
    moved = files_of(TINY) | {"README.md": b"newer"}
    hub.add("model", "owner/tiny", moved, revision="main")
    hub.add("model", "owner/tiny", files_of(TINY), revision="before")
    assert load(load_recipe(write(folder, "owner/tiny"))).base.revision != first.revision
    shutil.rmtree(tmp_path / "hub-cache")  # it is fetched by its commit
    recipe = trained(run).recipe
    assert recipe.revision == first.revision
    assert load(recipe).base.path.name == first.revision
    source = find_source("last", None, None)
    assert (source.model, source.revision) == ("owner/tiny", first.revision)
    assert find_source("last", "owner/other", None).revision is None


def test_another_model_by_override_is_not_asked_for_the_trained_commit(folder: Path) -> None:
    run = made(folder, "owner/tiny", path="/x/snapshots/abc", revision="abc")
    assert trained(run).recipe.revision == "abc"
    assert trained(run, ["model=owner/other"]).recipe.revision is None
    both = trained(run, ["model=owner/other", "revision=v2"]).recipe
    assert (both.model, both.revision) == ("owner/other", "v2")
    assert trained(run, ["lora.rank=3"]).recipe.revision == "abc"


def test_a_model_directory_that_was_moved_is_told(folder: Path) -> None:
    run = made(folder)
    (folder / "models" / "mine").rename(folder / "models" / "moved")
    with pytest.raises(RunError, match=r"was trained on the model in .*mine, which is not there"):
        trained(run)
    with pytest.raises(RunError, match="which is not there"):
        find_source("last", None, None)
    place = str(folder / "models" / "moved")
    assert find_source("last", "models/moved", None).model == place
    assert trained(run, ["model=models/moved"]).recipe.model == place
    assert list(tui_models.choices()) == [f"run:{run.run_id}", "model:tiny"]
    subject = subjects.find("last", "models/moved", None)
    assert subject.recipe()[0].model == place and subject.arguments.endswith("models/moved")
    assert style_of("last").tasks == trained_tasks(run)  # whose rows need no model
    before = run.info_path.read_bytes()
    with pytest.raises(RunError, match="which is not there"):
        lengthen(run, ["train.steps=100"])
    assert run.info_path.read_bytes() == before


def test_a_run_goes_on_with_its_model_in_another_place_and_with_no_other_model(
    folder: Path, yofo: Any
) -> None:
    assert yofo("train", write(folder), "--set", "episodes.max_shots=2")[0] == 0
    (folder / "models" / "mine").rename(folder / "models" / "moved")
    code, out, _ = yofo("runs", "last")
    assert code == 0 and "resume" in out and "next" not in out  # what cannot work is not offered
    assert yofo("resume", "last", "--set", "train.steps=2")[0] == 1
    shutil.copytree(TINY, folder / "other")
    (folder / "other" / "config.json").write_text(
        (TINY / "config.json").read_text().replace("{", '{"a": 1,', 1)
    )
    code, _, err = yofo("resume", "last", "--model", "other")
    assert code == 1 and "is not the one that run" in err
    code, _, err = yofo("resume", "last", "--model", "models/moved", "--set", "train.steps=2")
    run = listing.find("last")
    assert code == 0 and f"{run.run_id} has its model in {folder}/models/moved\n" in err
    assert "warning" not in err and run.status() == "finished"
    recipe, notes = trained(run)
    assert recipe.model == str(folder / "models" / "moved") and not notes
    assert load_recipe(run.recipe_path) == recipe
    assert changed_model(run, load(recipe).base) == []


def test_a_relative_path_of_an_earlier_version_is_never_taken_for_an_id(folder: Path) -> None:
    run = made(folder, "tiny")
    run.note(recipe={**(run.info().recipe or {}), "model": "models/mine"})
    run.note(model=ModelInfo(name="models/mine", path="models/mine"))
    with pytest.raises(RunError, match="which is not there"):
        trained(run)
    run.note(model=ModelInfo(name="models/mine", path=str(folder / "models" / "mine")))
    assert trained(run).recipe.model == str(folder / "models" / "mine")


def test_a_run_moved_to_another_place_is_the_same_run(folder: Path, tmp_path: Path) -> None:
    run = made(folder)
    expected = trained(run)
    moved = Run(tmp_path / "moved run")
    run.path.rename(moved.path)
    assert trained(listing.find(str(moved.path))) == expected


def test_without_run_json_the_recipe_counts_and_that_is_told(folder: Path) -> None:
    run = made(folder, "tiny")
    (run.path / "run.json").write_text("{")
    recipe, notes = trained(run)
    assert recipe.template.input == "{input} ->"
    assert "run.json is missing or damaged" in notes[0][0]


def test_one_more_task_can_be_given_on_top_of_a_run(folder: Path) -> None:
    run = made(folder, "tiny")
    new = ["tasks.1.source=rows.jsonl", "tasks.1.role=held_out", "tasks.1.name=new"]
    recipe = trained(run, new).recipe
    assert recipe.tasks[1].source == str(folder / "rows.jsonl")
    whole = trained(run, ['tasks=[{source = "rows.jsonl"}]']).recipe
    assert whole.tasks[0].source == str(folder / "rows.jsonl")
    with pytest.raises(RecipeError, match=r"`tasks\.1\.source` is missing"):
        trained(run, ["tasks.1.role=held_out"])


def test_run_json_keeps_what_it_does_not_know_and_loses_what_is_damaged(folder: Path) -> None:
    run = made(folder, "tiny")
    path = run.path / "run.json"
    content = json.loads(path.read_text()) | {"later": {"a": 1}, "seed": [], "limit_gb": "much"}
    path.write_text(json.dumps(content))
    info = run.note(largest_chunk=64)
    assert (info.seed, info.limit_gb, info.largest_chunk) == (None, None, 64)
    written = json.loads(path.read_text())
    assert written["later"] == {"a": 1} and written["recipe"] == content["recipe"]
    assert written["number"] == content["number"]


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"recipe": 1}', '{"model": {}}', "[" * 9999]
)
def test_a_damaged_run_json_is_read_as_far_as_it_goes(folder: Path, content: str) -> None:
    run = made(folder, "tiny")
    (run.path / "run.json").write_text(content)
    assert run.info() == RunInfo(format=run.info().format)


def test_a_folder_whose_name_is_not_utf_8_is_told_in_words(
    folder: Path, yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = os.fsdecode(os.fsencode(folder.parent) + b"/\xff\x1b]0;owned\x07")
    shutil.copytree(folder, odd)
    write(Path(odd), "tiny")
    monkeypatch.chdir(odd)
    for verb in (["recipes", "check"], ["train"], ["plan"], ["show"]):
        code, _, err = yofo(*verb, "mine.toml")
        assert code == 2 and "a path that is not UTF-8" in err and len(err.splitlines()) == 2
        assert "\x1b" not in err and "\udcff" not in err
    code, _, err = yofo("plan", "tiny", "--set", "description=\udcff")
    assert code == 2 and "a value is not UTF-8 text" in err
    monkeypatch.setenv("YOFO_HOME", odd)
    code, _, err = yofo("train", "tiny", "--detach")
    assert code == 1 and "a path that is not UTF-8" in err and "\x1b" not in err
    assert not list(paths.runs().glob("*"))


def test_model_files_that_changed_are_told_to_whoever_uses_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(folder)
    model = str(folder / "models" / "mine")
    run.note(model=ModelInfo(name=model, path=model, fingerprint=model_fingerprint(Path(model))))
    subject = subjects.of_run(run)
    _, base = load_model(subject, *subject.recipe())
    assert changed_model(run, base) == [] and capsys.readouterr().err == ""
    with (folder / "models" / "mine" / "config.json").open("a") as file:
        file.write("\n")
    load_model(subject, *subject.recipe())
    assert f"the files of model {model} changed since the run began" in capsys.readouterr().err
    load_model(subject, *subject.recipe(["model=tiny"]))  # meant to be another one
    assert capsys.readouterr().err == ""


def test_a_run_from_before_templates_had_a_date_says_which_day_it_is_told_now(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(folder, "tiny")
    recipe: Any = run.info().recipe
    base = load(trained(run).recipe).base
    for written, style, told in ((True, "auto", 0), (False, "auto", 1), (False, "plain", 0)):
        template = {"style": style} | ({"date": "2026-01-01"} if written else {})
        run.note(recipe=recipe | {"template": template})
        assert len(undated(run, "{{ strftime_now('%d %b %Y') }}")) == told
        assert undated(run, base.tokenizer.chat_template) == [] == changed_model(run, base)


def test_a_key_that_is_no_text_hides_neither_a_run_nor_the_others() -> None:
    run = listing.create("odd")
    text = '{"\\ud800": 1, "number": 3, "plan": 5, "created": 7.0}'
    (run.path / "run.json").write_text(text, encoding="utf-8")
    assert run.info().number == 3 and run.info().plan is None
    assert listing.create("next").info().number == 4


def test_a_data_set_that_was_an_id_stays_one_wherever_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sister of relative-model-path: a folder of the id's name lies where a run goes on."""
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text("text,label\na,b\nc,d\n")
    monkeypatch.chdir(tmp_path)
    assert locate.find("owner/name", tmp_path) == folder
    assert locate.find("owner/name", Path(os.devnull)) is None
    recipe = load_recipe(find_recipe("tiny"))
    source = TaskSource(source="owner/name")
    with pytest.raises(YofoError, match="owner/name"):  # offline: the hub is asked, in vain
        load(recipe.model_copy(update={"tasks": (source,)}))
