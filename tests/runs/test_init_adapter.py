"""Training on from an adapter: found by what it is called, of its shape, and no other one."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers

from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.gradients.objective import summed_loss
from yofo_mlx.models.adapters import load_adapter
from yofo_mlx.models.base import load_base, model_path
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.runs.trained import trained
from yofo_mlx.system import paths
from yofo_mlx.system.files import digest
from yofo_mlx.training.setup import load

ROWS = "".join(f'{{"input": "question {i}", "output": "{i % 3}"}}\n' for i in range(20))
RECIPE = """
model = "tiny"
episodes = { max_tokens = 96 }
evaluation = { valid_tasks = 1, queries = 1, shots = [0] }
optimizer = { warmup = 0.0, learning_rate = 1e-2 }
train = { steps = 2, checkpoint_every = 1 }
[[tasks]]
source = "rows.jsonl"
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "rows.jsonl").write_text(ROWS)
    path = folder / "own.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def first(yofo: Any, recipe: Path) -> Run:
    """Return a run of rank 3, whose adapter others begin with."""
    shape = ("--set", "lora.rank=3", "--set", "lora.scale=7.0", "--set", "lora.num_layers=2")
    assert yofo("train", recipe, "--name", "first", *shape)[0] == 0
    return listing.list_runs()[0]


def losses(run: Run) -> list[float]:
    return [event["loss"] for event in run.events() if event["kind"] == "step"]


def score(recipe: Path, adapter: Path) -> float:
    """Return the loss of an adapter on the first episode of a recipe."""
    resolved = load_recipe(recipe)
    setup = load(resolved)
    model = setup.base.model
    load_adapter(model, adapter)
    model.train()
    batch = make_batch(setup.workload.sampler.draw(0, 0, 1), resolved.objective)
    return float(summed_loss(model, batch).item()) / batch.denominator


def test_the_first_loss_is_what_the_adapter_scores(yofo: Any, recipe: Path, first: Run) -> None:
    code, _, err = yofo("train", recipe, "--set", "init_adapter=last")
    assert code == 0 and f"begun with the adapter in {first.adapter_path}" in err
    run = listing.list_runs()[0]
    assert losses(run)[0] == pytest.approx(score(recipe, first.adapter_path), rel=1e-6)
    assert losses(run)[0] < losses(first)[0]
    begun = run.info().init_adapter
    assert begun is not None and begun.sha256 == digest(first.adapter_path / "adapters.safetensors")
    assert trained(run).recipe.init_adapter == str(first.adapter_path) == begun.path


def test_the_shape_is_the_adapters_where_the_recipe_does_not_say(first: Run, recipe: Path) -> None:
    lora = load_recipe(recipe, ["init_adapter=first", "lora.dropout=0.25"]).lora
    assert (lora.rank, lora.scale, lora.num_layers, lora.dropout) == (3, 7.0, 2, 0.25)
    assert load_recipe(recipe, ["init_adapter=first", "lora.rank=3"]).lora.scale == 7.0
    with pytest.raises(
        RecipeError, match=r"lora.rank is 8, there it is 3; lora.scale is 2"
    ) as error:
        load_recipe(recipe, ["init_adapter=first", "lora.rank=8", "lora.scale=2.0"])
    assert "--set=lora.rank=3 --set=lora.scale=7.0" in error.value.hint


def test_an_adapter_is_found_by_run_by_folder_and_beside_the_recipe(
    first: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = str(first.adapter_path)
    for name in ("last", "first", first.run_id, str(first.path), own):
        assert load_recipe(recipe, [f"init_adapter={name}"]).init_adapter == own
    checkpoint = first.checkpoint_path(2)
    assert load_recipe(recipe, [f"init_adapter={checkpoint}"]).init_adapter == str(checkpoint)
    shutil.copytree(first.adapter_path, recipe.parent / "kept" / "best")
    beside = recipe.with_name("beside.toml")
    beside.write_text('init_adapter = "kept/best"\n' + RECIPE)
    assert load_recipe(beside).init_adapter == str(recipe.parent / "kept" / "best")
    monkeypatch.chdir(recipe.parent)
    assert load_recipe(beside, ["init_adapter="]).init_adapter is None
    (recipe.parent / "last").mkdir()  # no adapter in it
    assert load_recipe(recipe, ["init_adapter=last"]).init_adapter == own
    (recipe.parent / "last").rmdir()


def test_what_is_no_adapter_is_refused_in_two_lines(
    yofo: Any, recipe: Path, first: Run, tmp_path: Path
) -> None:
    peft, whole, torn = tmp_path / "peft", tmp_path / "whole", tmp_path / "torn"
    peft.mkdir()
    (peft / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}')
    (peft / "adapter_model.safetensors").touch()
    config = json.loads((first.adapter_path / "adapter_config.json").read_text())
    for folder, text in ((whole, config | {"fine_tune_type": "full"}), (torn, {"rank": 8})):
        shutil.copytree(first.adapter_path, folder)
        (folder / "adapter_config.json").write_text(json.dumps(text))
    unborn = launch.create_run(load_recipe(recipe), "unborn")
    for name, words in (
        (peft, "the PEFT adapter in"),
        (whole, "trained as a whole, not an adapter"),
        (torn, "cannot be read"),
        (tmp_path, "there is no adapter in"),
        (tmp_path / "nowhere", "there is no adapter in"),
        (first.adapter_path / "adapters.safetensors", "there is no adapter in"),
        ("nobody", "init_adapter: there is no run 'nobody'"),
        (unborn.run_id, "has no adapter yet"),
        ("\0", "there is no"),
        ("x" * 5000, "there is no"),
    ):
        for verb in ("train", "show", "plan"):
            code, _, err = yofo(verb, recipe, "--set", f"init_adapter={name}")
            assert code == 2 and words in err and len(err.splitlines()) == 2, (verb, name)
    assert len(listing.list_runs()) == 2


def test_an_adapter_that_mlx_lm_made_is_trained_on(yofo: Any, recipe: Path, tmp_path: Path) -> None:
    own = {
        "rank": 5,
        "scale": 3.0,
        "dropout": 0.0,
        "keys": ["self_attn.v_proj", "self_attn.q_proj"],
    }
    model = load_base("tiny").model
    model.freeze()
    linear_to_lora_layers(model, 2, own)
    weights: Any = dict(tree_flatten(model.trainable_parameters()))
    half = {name: (array + 0.01).astype(mx.bfloat16) for name, array in weights.items()}
    mx.save_safetensors(str(tmp_path / "adapters.safetensors"), half)
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": own, "batch_size": 4}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"model": "tiny"}))
    assert yofo("train", recipe, "--set", f"init_adapter={tmp_path}")[0] == 0
    run = listing.list_runs()[0]
    assert losses(run)[0] == pytest.approx(score(recipe, tmp_path), rel=1e-4)
    config = json.loads((run.adapter_path / "adapter_config.json").read_text())
    assert config["lora_parameters"]["rank"] == 5 and config["num_layers"] == 2


def test_another_base_is_refused_where_it_does_not_fit_and_told_where_it_does(
    yofo: Any, recipe: Path, first: Run, tmp_path: Path
) -> None:
    weights = mx.load(str(first.adapter_path / "adapters.safetensors"))
    assert isinstance(weights, dict)
    shutil.copytree(first.adapter_path, tmp_path / "wide")
    wide = {name: mx.concatenate([array, array]) for name, array in weights.items()}
    mx.save_safetensors(str(tmp_path / "wide" / "adapters.safetensors"), wide)
    for verb in ("train", "plan", "show"):
        code, _, err = yofo(verb, recipe, "--set", f"init_adapter={tmp_path / 'wide'}")
        assert code == 2 and "does not fit the model" in err and "it was trained on tiny" in err
    assert len(listing.list_runs()) == 1

    shutil.copytree(model_path("tiny"), tmp_path / "model")
    elsewhere = ("--set", f"model={tmp_path / 'model'}", "--set")
    _, _, err = yofo("show", recipe, *elsewhere, "init_adapter=first")
    assert "was trained on" not in err  # the same files under another name
    shutil.copytree(first.adapter_path, tmp_path / "lost")
    for verb in ("show", "plan", "train"):
        code, _, err = yofo(verb, recipe, *elsewhere, f"init_adapter={tmp_path / 'lost'}")
        assert code == 0 and "was trained on tiny, this run's model is" in err


def test_another_template_is_told(yofo: Any, recipe: Path, first: Run) -> None:
    other = ("--set", "init_adapter=first", "--set", "template.input={input} =>")
    assert "was trained with another template" in yofo("show", recipe, *other)[2]


def test_an_adapter_that_changed_before_the_run_began_is_refused_and_later_does_not_matter(
    yofo: Any, recipe: Path, first: Run
) -> None:
    run = launch.create_run(load_recipe(recipe, ["init_adapter=first"]), "second")
    kept = paths.home() / "kept"
    shutil.copytree(first.adapter_path, kept)
    weights = mx.load(str(first.adapter_path / "adapters.safetensors"))
    assert isinstance(weights, dict)
    other = {name: array + 1 for name, array in weights.items()}
    mx.save_safetensors(str(first.adapter_path / "adapters.safetensors"), other)
    code, _, err = yofo("resume", "second")
    assert code == 1 and "has changed since the run was made" in err
    shutil.rmtree(first.adapter_path)
    code, _, err = yofo("resume", "second")
    assert code == 2 and "there is no adapter in" in err
    kept.rename(first.adapter_path)
    assert yofo("resume", "second")[0] == 0
    shutil.rmtree(first.path)
    assert yofo("resume", "second", "--set", "train.steps=3")[0] == 0
    assert len(losses(run)) == 3


def test_plan_show_and_explain_know_it(yofo: Any, recipe: Path, first: Run) -> None:
    with_it = (recipe, "--set", "init_adapter=first")
    for verb in ("plan", "show"):
        assert str(first.adapter_path) in yofo(verb, *with_it)[1]
        assert json.loads(yofo(verb, *with_it, "--json")[1])["init_adapter"] == str(
            first.adapter_path
        )
    assert "a run (its name, `last`" in yofo("recipes", "explain", "init_adapter")[1]


def test_the_command_that_a_refused_resume_shows_works(yofo: Any, first: Run) -> None:
    _, _, err = yofo("resume", "last", "--set", "optimizer.learning_rate=1e-3")
    command = err.split("yofo ")[-1].split()
    assert yofo(*command)[0] == 0
    second = listing.list_runs()[0]
    assert second != first and trained(second).recipe.optimizer.learning_rate == 1e-3
    _, _, err = yofo("resume", first.run_id, "--set", "lora.rank=2")
    assert yofo(*err.split("yofo ")[-1].split())[0] == 0
    third = trained(listing.list_runs()[0]).recipe
    assert third.lora.rank == 2 and third.init_adapter is None


def test_any_name_of_an_adapter_is_found_or_refused_in_words(recipe: Path) -> None:
    for name in ("~nobody/x", "*", "", "-", "..", "a/b", "\ud800", "tiny"):
        try:
            load_recipe(recipe, [f"init_adapter={name}"])
        except YofoError as error:
            assert error.message and error.hint
