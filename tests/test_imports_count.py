"""`scripts/imports.py` on a small tree whose imports can be counted by hand."""

from pathlib import Path

import imports
import pytest

TREE = {
    "yofo_mlx/__init__.py": "",
    "yofo_mlx/errors.py": "import json",
    "yofo_mlx/cli/__init__.py": "from yofo_mlx.recipe import schema, file\nimport tui.app",
    "yofo_mlx/recipe/__init__.py": "",
    "yofo_mlx/recipe/schema.py": "from yofo_mlx.errors import A, B\nfrom .file import read",
    "yofo_mlx/recipe/file.py": "def f():\n    from yofo_mlx.cli import app, other",
    "tui/__init__.py": "",
    "tui/app.py": "from tui.data.screen import Screen\nimport tui.shared.words",
    "tui/data/__init__.py": "from . import screen",
    "tui/data/screen.py": "from ..shared import words\nimport yofo_mlx.recipe.schema as s",
    "tui/shared/words.py": "import yofo_mlx",
}
LAYERS = '[[tool.importlinter.contracts]]\ntype = "layers"\nlayers = [{}]\n'
ALL = LAYERS.format(
    '"yofo_mlx.cli", "tui.app", "tui.data | tui.shared", "yofo_mlx.recipe : yofo_mlx.errors"'
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text(ALL)
    return tmp_path


def test_rooms_imports_and_arrows_are_counted(root: Path) -> None:
    assert [*imports.count(root).values()] == [
        4,  # cli, recipe, errors, the app
        1,  # errors
        12,
        5,  # schema -> file; four in the app
        6,  # cli -> recipe, tui; recipe -> errors, cli; tui -> recipe, the engine's `__init__`
        1,
        1,  # recipe -> cli
        4,  # app -> screen, app -> words, data -> screen, screen -> words
        1,  # data -> screen
        3,
    ]


def test_a_contract_that_leaves_rooms_out_does_not_count(root: Path) -> None:
    (root / "pyproject.toml").write_text(LAYERS.format('"yofo_mlx.cli", "yofo_mlx.recipe"'))
    assert imports.count(root)["... that run up in the order of the contract"] is None


def test_the_best_order_has_the_fewest_arrows_up() -> None:
    circle = {("a", "b"), ("b", "c"), ("c", "a")}
    assert imports.count_backward(set()) == 0
    assert imports.count_backward({("a", "b"), ("b", "c"), ("a", "c")}) == 0
    assert imports.count_backward(circle) == 1
    assert imports.count_backward(circle | {("c", "b"), ("x", "a"), ("y", "x"), ("x", "y")}) == 2
