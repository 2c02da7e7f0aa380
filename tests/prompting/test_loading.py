"""From a run or a user's words to a model."""

import os
from contextlib import nullcontext as does_not_raise
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.errors import FitError, RecipeError, RunError
from yofo_mlx.models.adapter_files import stamp
from yofo_mlx.prompting import loading
from yofo_mlx.prompting.loading import find_source
from yofo_mlx.prompting.parameters import Load, Pair, Prefill
from yofo_mlx.prompting.prompter import Prompter
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


class Alone:
    """A call that nobody gives up; satisfies prompter.Work."""

    def check(self) -> None:
        pass

    def note(self, method: str, **params: Any) -> None:
        pass


def test_prompting_a_run_keeps_to_the_memory_that_its_recipe_allows(run: Run) -> None:
    pairs = [Pair(input=f"horse {n} cow", output="Anna") for n in range(150)]
    refused = pytest.raises(FitError, match="are free")
    for limit, refusal in (("", does_not_raise()), ("memory.limit_gb = 0.001", refused)):
        run.recipe_path.write_text(f"{limit}\n{RECIPE}")
        prompter = Prompter()
        prompter.load(Load(run=run.run_id, use_adapter=False), Alone())
        with refusal:
            prompter.prefill(Prefill(demonstrations=pairs, shots="all"), Alone())


def test_a_missing_model_or_adapter_is_told_before_anything_is_loaded() -> None:
    with pytest.raises(RecipeError, match="neither a run nor a model"):
        find_source(None, None, None)
    with pytest.raises(RecipeError, match="there is no model"):
        loading.check(find_source(None, "./nowhere", None), use_adapter=True)
    with pytest.raises(RecipeError, match="no adapter in"):
        loading.check(find_source(None, "tiny", "nowhere"), use_adapter=True)


def test_half_of_an_adapter_is_told_before_anything_is_loaded(run: Run) -> None:
    run.adapter_path.mkdir()
    (run.adapter_path / "adapters.safetensors").touch()
    with pytest.raises(RecipeError, match="no adapter in"):
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
