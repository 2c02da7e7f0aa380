"""Training on real data sets, where they are present beside the project."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.places import DATA
from yofo_mlx.models.base import load_base
from yofo_mlx.planning.workload import make_workload
from yofo_mlx.recipe.file import validate
from yofo_mlx.runs import launch
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.training.loop import train
from yofo_mlx.training.setup import Setup

RECIPE = """
model = "tiny"
[template]
input = "{{input}} ->"
output = " {{output}}\\n"
[lora]
rank = 8
scale = 2.0
[episodes]
max_tokens = 384
[optimizer]
learning_rate = 5e-3
[train]
steps = 8
batch_size = 2
[evaluation]
shots = [0, 2]
queries = 2
[[tasks]]
source = "{data}/banking77"
family = "classification"
limit = 1000
[[tasks]]
source = "{data}/clinc150/data_full.json"
records = "{{split}}"
splits = {{train = "train", valid = "val", test = "test"}}
input = "{{0}}"
output = "{{1}}"
limit = 1000
family = "classification"
"""


@pytest.mark.skipif(not (DATA / "banking77").is_dir(), reason="the real data sets are not here")
def test_a_recipe_over_banking77_and_clinc150_trains_and_the_loss_falls() -> None:
    recipe = validate(tomllib.loads(RECIPE.format(data=DATA)), "recipe")
    base = load_base("tiny")
    workload = make_workload(recipe, load_tasks(recipe.tasks, 0, Path.cwd()), base.tokenizer)
    run, events = launch.create_run(recipe, "real"), []
    train(run, recipe, Setup(base, workload), should_stop=lambda: False, on_event=events.append)
    losses = [event["loss"] for event in events if event["kind"] == "step"]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    assert (run.adapter_path / "adapters.safetensors").is_file()
