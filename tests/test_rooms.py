"""The map of the house: every folder in the contract, every door used as it says."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import imports
import pytest

from tests.places import ROOT

MODULES = imports.find_modules(ROOT)
HOLDING = sorted({".".join(path.relative_to(ROOT).parts[:-1]) for path in MODULES.values()})
FOLDERS = [folder for folder in HOLDING if folder.count(".") == 1]

Cross = tuple[str, str, str]


@pytest.fixture(scope="module")
def crossed() -> set[Cross]:
    return set(borders(MODULES))


def layers() -> list[str]:
    """Return what the contract of layers names, from top to bottom."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = (one for one in config["contracts"] if one["type"] == "layers")
    return [name for layer in contract["layers"] for name in layer.split(" | ")]


def borders(modules: dict[str, Path]) -> Iterator[Cross]:
    """Yield the imports that cross a border: importing folder, imported folder, its module."""
    for module, path in modules.items():
        here = ".".join(module.split(".")[:2])
        for name in imports.find_names(module, path):
            there = ".".join(name.split(".")[:2])
            if there in FOLDERS and there != here:
                yield here, there, name.removeprefix(there).strip(".").partition(".")[0]


def exported(folder: str) -> list[str]:
    """Return what a folder's `__init__` exports, without importing it."""
    tree = ast.parse((ROOT / folder.replace(".", "/") / "__init__.py").read_text("utf-8"))
    lists = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return list(lists[0]) if lists else []


def test_one_contract_names_every_folder_and_every_module_beside_them() -> None:
    parts = {".".join(module.split(".")[:2]) for module in MODULES} - {"yofo_mlx", "tui"}
    assert sorted(layers()) == sorted(parts)


def test_few_modules_lie_beside_the_folders() -> None:
    assert len([*ROOT.glob("yofo_mlx/*.py")]) <= 5


@pytest.mark.parametrize("folder", HOLDING)
def test_a_folder_says_its_idea_in_one_line(folder: str) -> None:
    text = (ROOT / folder.replace(".", "/") / "__init__.py").read_text("utf-8")
    idea, *more = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert idea.endswith(".") and not (more and more[0])


def past_doors(crossed: Iterable[Cross]) -> list[Cross]:
    """Return the imports of what a folder does not export."""
    return sorted(cross for cross in crossed if cross[2] not in exported(cross[1]))


def test_only_what_a_folder_exports_is_imported_from_elsewhere(crossed: set[Cross]) -> None:
    assert not past_doors(crossed)


@pytest.mark.parametrize(
    "line",
    [
        "from yofo_mlx.training.validation import plan",
        "import yofo_mlx.training.validation as v",
        "from ..training import loop, validation",
        "from yofo_mlx import training",
        "from yofo_mlx.training import *",
    ],
)
def test_a_way_past_a_door_is_seen_however_it_is_written(line: str, tmp_path: Path) -> None:
    path = tmp_path / "stop.py"
    path.write_text(line)
    assert past_doors(borders({"yofo_mlx.commands.stop": path}))


def test_only_the_app_is_imported_by_its_name_in_a_string() -> None:
    by_string = re.compile(r"import_module\(|__import__\(")
    found = [name for name, path in MODULES.items() if by_string.search(path.read_text("utf-8"))]
    assert found == ["yofo_mlx.cli.opening"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_exports_nothing_that_nobody_takes(folder: str, crossed: set[Cross]) -> None:
    taken = {name for _, there, name in crossed if there == folder}
    assert sorted(exported(folder)) == sorted(taken)
