"""Models to choose from, with what this machine makes of them; nobody is asked for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.planning.shelf import CURATED, LENGTHS, curated, on_disk
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import paths


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))


def test_a_curated_model_is_the_one_of_the_recipe_that_is_named() -> None:
    for one in CURATED:
        if one.recipe:
            assert load_recipe(find_recipe(one.recipe)).model == one.name


def test_more_parameters_leave_room_for_shorter_episodes_and_fits_says_at_which() -> None:
    found = {one.name: one for one in curated()}
    assert all(one.longest is not None and one.parameters for one in found.values())
    for one in found.values():
        most = min(one.longest or 0, one.context or 0)
        assert one.fits == {length: length <= most for length in LENGTHS}


def test_what_is_on_the_disk_is_told_also_if_it_is_damaged(yofo: Any) -> None:
    (paths.models() / "damaged").mkdir(parents=True)
    tiny, damaged = on_disk()
    assert tiny.name == "tiny" and tiny.longest and tiny.context == 1024 and tiny.fits
    assert damaged.why_not and not damaged.fits
    code, out, _ = yofo("models", "--json")
    rows = json.loads(out)
    assert code == 0 and [row["name"] for row in rows[2:]] == [one.name for one in CURATED]
    assert yofo("models", "list")[0] == 0
