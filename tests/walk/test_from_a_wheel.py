"""What a wheel installs: one name, the shipped recipes with all they include, and the app."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

from tests.places import ROOT
from tests.walk.shell import Shell
from yofo_mlx import __version__
from yofo_mlx.recipe.file import shipped_recipes, to_toml
from yofo_mlx.runs.recipe import load_recipe

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]  # the builder is fetched


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "-w", str(folder), str(ROOT))
    return next(folder.glob("*.whl"))


def pip(*words: str, python: str = sys.executable) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "-q", *words], check=True)


@pytest.fixture(scope="module")
def shell(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in an empty home, where the wheel is installed and this checkout is not."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip("install", "--no-deps", str(wheel), python=str(folder / "bin" / "python"))
    ours = next(folder.glob("lib/python*/site-packages"))
    # The packages that it depends on are those of the tests; a .pth file among them is not read.
    (ours / "dependencies.pth").write_text(str(Path(numpy.__file__).parents[1]))
    opened = Shell(tmp_path_factory.mktemp("home"), folder / "bin")
    yield opened
    opened.close()


def test_a_wheel_has_one_top_level_name(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert names == {"yofo_mlx", f"yofo-{__version__}.dist-info"}


def test_every_shipped_recipe_is_there_with_all_that_it_includes(shell: Shell) -> None:
    assert shell.run("yofo --version").split()[-1] == __version__
    listed = json.loads(shell.run("yofo recipes list --json 2>/dev/null").splitlines()[-1])
    assert [row["name"] for row in listed] == [path.stem for path in shipped_recipes()]
    for path in shipped_recipes():
        shell.run(f"yofo train {path.stem} --dry-run > {path.stem}.toml")
        resolved = (shell.home / f"{path.stem}.toml").read_text("utf-8")
        assert resolved == to_toml(load_recipe(path))
        shell.run(f"rm {path.stem}.toml")


def test_the_embedded_model_is_trained_with_nothing_but_the_wheel(shell: Shell) -> None:
    few = "--set evaluation.valid_tasks=0 --set tasks.0.source=tiny:topic-01"
    shell.run(f"yofo train tiny --set train.steps=2 {few} 2>/dev/null")
    (run,) = json.loads(shell.run("yofo runs --json 2>/dev/null").splitlines()[-1])
    assert run["status"] == "finished"


def test_its_data_sets_can_be_included_from_anywhere(shell: Shell) -> None:
    text = 'include = "recipes/data/public.toml"\nmodel = "tiny"\ntrain.steps = 1\n'
    (shell.home / "mine.toml").write_text(text)
    assert "mine.toml is valid" in shell.run("yofo recipes check mine.toml")
    shell.run("rm mine.toml")


def test_the_app_opens_and_its_reader_reads(shell: Shell) -> None:
    shell.start("yofo")
    shell.press("1")
    shell.sees("mistral")
    shell.sees("topic-00")  # by a process of its own
    shell.press("q")
    shell.ended()
