"""The map of the house: every folder in the contract, every door used as it says."""

import ast
import tomllib
from collections.abc import Iterator

import pytest

from tests.places import ROOT

FOLDERS = sorted(
    path.parent.relative_to(ROOT).as_posix().replace("/", ".")
    for path in [*ROOT.glob("yofo_mlx/*/__init__.py"), *ROOT.glob("tui/*/__init__.py")]
)


def layers() -> list[str]:
    """Return what the contract of layers names, from top to bottom."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = (one for one in config["contracts"] if one["type"] == "layers")
    return [name for layer in contract["layers"] for name in layer.split(" | ")]


def borders() -> Iterator[tuple[str, str, str]]:
    """Yield the imports that cross a border: importing folder, imported folder, its module."""
    for path in [*ROOT.glob("yofo_mlx/**/*.py"), *ROOT.glob("tui/**/*.py")]:
        folders = path.relative_to(ROOT).parent.parts
        here = ".".join(path.relative_to(ROOT).parts[:2])
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            up = folders[: len(folders) - node.level + 1] if node.level else ()
            for name in node.names:
                full = [*up, *f"{node.module or ''}.{name.name}".strip(".").split(".")]
                there = ".".join(full[:2])
                if there in FOLDERS and there != here:
                    yield here, there, full[2]


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
    parts = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for folder in ("yofo_mlx", "tui")
        for path in (ROOT / folder).iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()
    ]
    assert sorted(layers()) == sorted(parts)


def test_few_modules_lie_beside_the_folders() -> None:
    assert len([*ROOT.glob("yofo_mlx/*.py")]) <= 5


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_its_idea_in_one_line(folder: str) -> None:
    text = (ROOT / folder.replace(".", "/") / "__init__.py").read_text("utf-8")
    idea, *more = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert idea.endswith(".") and not (more and more[0])


def test_only_what_a_folder_exports_is_imported_from_elsewhere() -> None:
    doors = {folder: exported(folder) for folder in FOLDERS}
    assert not sorted({cross for cross in borders() if cross[2] not in doors[cross[1]]})


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_exports_nothing_that_nobody_takes(folder: str) -> None:
    taken = {name for _, there, name in borders() if there == folder}
    assert sorted(exported(folder)) == sorted(taken)
