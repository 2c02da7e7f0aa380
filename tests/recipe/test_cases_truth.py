"""Cases that went wrong: which model a recipe means, and whether it can be read."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tui.shared.recipes import about_recipe, is_recipe
from yofo_mlx.models.base import model_path
from yofo_mlx.runs import listing
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.runs.trained import trained

ROWS = "".join(f"question {i},{'ab'[i % 2]}\n" for i in range(20))
RECIPE = """
model = "{model}"
lora.rank = 2
episodes.max_tokens = 96
evaluation = {{ valid_tasks = 1, queries = 1, shots = [0] }}
train = {{ steps = 2, checkpoint_every = 1 }}
[[tasks]]
source = "intents.csv"
"""


def write(folder: Path, model: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "intents.csv").write_text("input,output\n" + ROWS)
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(model=model))
    return path


def test_a_model_beside_the_recipe_is_used_from_every_folder(
    tmp_path: Path, yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """relative-model-path: never the hub's `models/mine`, never that of another folder."""
    path = write(tmp_path / "here", "models/mine")
    mine = tmp_path / "here" / "models" / "mine"
    shutil.copytree(model_path("tiny"), mine)
    (tmp_path / "other" / "models" / "mine").mkdir(parents=True)  # not even a model
    monkeypatch.chdir(path.parent)
    assert yofo("train", "recipe.toml")[0] == 0
    run = listing.find("last")
    config = json.loads((run.adapter_path / "adapter_config.json").read_text())
    assert config["model"] == str(mine) == trained(run).recipe.model
    shutil.rmtree(run.checkpoint_path(2))
    lines = run.events_path.read_text().splitlines(keepends=True)
    run.events_path.write_text("".join(lines[:-1]))  # it has not finished
    monkeypatch.chdir(tmp_path / "other")
    assert yofo("show", path)[0] == 0
    assert yofo("resume", "last")[0] == 0
    code, out, err = yofo("chat", "last", "--query", "question 1")
    assert code == 0 and out and str(mine) in err


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    ],
    ids=["mark", "CRLF", "both"],
)
def test_a_recipe_that_an_editor_saved_in_its_way_is_read(
    tmp_path: Path, yofo: Any, spoil: Any
) -> None:
    """recipe-with-bom: read as if there were no byte order mark."""
    path = write(tmp_path, "tiny")
    expected = load_recipe(path)
    path.write_bytes(spoil(path.read_text()))
    assert load_recipe(path) == expected
    assert is_recipe(path) and about_recipe(path) == "tiny"
    assert yofo("recipes", "check", path)[0] == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_recipe_in_another_encoding_is_named(tmp_path: Path, yofo: Any, encoding: str) -> None:
    """recipe-with-bom: what cannot be read says which encoding it wants."""
    path = write(tmp_path, "tiny")
    path.write_bytes(path.read_text().encode(encoding))
    code, _, err = yofo("show", path)
    assert code == 2 and "recipe.toml is not UTF-8 text" in err and "save it as UTF-8" in err
