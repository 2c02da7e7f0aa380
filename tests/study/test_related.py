"""Small studies after related work: each is a recipe that can be studied, and is, to its end."""

from pathlib import Path
from typing import Any

import pytest

from tests.places import ROOT
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.study.arms import chosen
from yofo_mlx.tasks.sources import expand

FOLDER = ROOT / "docs" / "evidence" / "related"
STUDIES = sorted(path for path in FOLDER.glob("*.toml") if path.stem != "base")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_has_tasks_to_train_and_to_hold_out_that_none_is_called_like_another(
    path: Path,
) -> None:
    recipe = load_recipe(path)
    assert recipe.model == "tiny" and recipe.study and chosen(recipe.study.arms)
    tasks = [one for source in recipe.tasks for one in expand(source, FOLDER)]
    assert {one.role for one in tasks} == {"train", "held_out"}
    assert len({one.name or one.source for one in tasks}) == len(tasks)
    assert path.name in (ROOT / "docs" / "synthetic.md").read_text("utf-8")


@pytest.mark.long
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_is_made_to_its_end(path: Path, tmp_path: Path, yofo: Any) -> None:
    small = ("--tokens", "600", "--queries", "2", "--shots", "0,2", "--seeds", "1")
    code, _, err = yofo("study", path, *small, "--out", tmp_path / "out")
    assert code == 0, err
    assert "## By task" in (tmp_path / "out" / "report.md").read_text()
