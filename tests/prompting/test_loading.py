"""From a run or a user's words to a model."""

import os
from pathlib import Path

import pytest

from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.models.adapter_files import stamp
from yofo_mlx.prompting import loading
from yofo_mlx.prompting.loading import find_source
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run

RECIPE = """
model = "tiny"
template.input = "{input} ->"
template.output = " {output}\\n"
episodes.max_tokens = 3000
train.steps = 1
tasks = [{source = "tiny:train"}]
"""


@pytest.fixture
def run() -> Run:
    run = listing.create("small")
    run.recipe_path.write_text(RECIPE)
    return run


def test_a_run_brings_its_model_template_adapter_and_context(run: Run) -> None:
    source = find_source("last", None, None)
    assert (source.model, source.run, source.trained_context) == ("tiny", run, 3000)
    assert source.template.input == "{input} ->"
    assert source.adapter == run.adapter_path


def test_a_model_or_adapter_by_name_takes_the_place_of_the_runs(run: Run) -> None:
    source = find_source(run.run_id, "elsewhere/tiny", "adapters")
    assert (source.model, source.adapter) == ("elsewhere/tiny", Path("adapters").absolute())
    assert source.run == run


def test_a_run_without_an_adapter_can_only_be_prompted_without(run: Run) -> None:
    source = find_source(run.run_id, None, None)
    with pytest.raises(RunError, match="has no adapter yet"):
        loading.check(source, use_adapter=True)
    loading.check(source, use_adapter=False)
    loaded = loading.load(source, use_adapter=False)
    assert loaded.context == loaded.base.context
    assert loaded.limit == 3000  # it trained on more than the model's own context


def test_a_missing_model_or_adapter_is_told_before_anything_is_loaded() -> None:
    with pytest.raises(RecipeError, match="neither a run nor a model"):
        find_source(None, None, None)
    with pytest.raises(RecipeError, match="there is no model"):
        loading.check(find_source(None, "./nowhere", None), use_adapter=True)
    with pytest.raises(RunError, match="no adapter in"):
        loading.check(find_source(None, "tiny", "nowhere"), use_adapter=True)


def test_half_of_an_adapter_is_told_before_anything_is_loaded(run: Run) -> None:
    run.adapter_path.mkdir()
    (run.adapter_path / "adapters.safetensors").touch()
    with pytest.raises(RunError, match="no adapter in"):
        loading.check(find_source(run.run_id, None, None), use_adapter=True)


def test_the_stamp_of_an_adapter_tells_its_files_from_others(tmp_path: Path) -> None:
    assert stamp(tmp_path) == stamp(tmp_path / "nowhere") == ()
    weights = tmp_path / "adapters.safetensors"
    weights.write_bytes(b"one")
    config = tmp_path / "adapter_config.json"
    config.write_text("{}")
    os.utime(weights, ns=(1, 1))
    os.utime(config, ns=(1, 1))
    seen = [stamp(tmp_path), stamp(tmp_path)]
    os.utime(weights, ns=(2, 2))
    seen.append(stamp(tmp_path))
    config.write_text("{ }")
    os.utime(config, ns=(1, 1))
    seen.append(stamp(tmp_path))
    assert seen[0] == seen[1] and len(set(seen)) == 3
