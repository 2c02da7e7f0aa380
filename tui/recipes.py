"""The recipes a user has: the shipped ones, and those in the folder the app was opened in."""

import tomllib
from collections.abc import Callable
from pathlib import Path

from yofo_mlx.recipe_file import shipped_recipes
from yofo_mlx.runs import Run

Starter = Callable[[Path, list[str]], Run]


def find_recipes(folder: Path | None = None) -> list[Path]:
    """Return the user's own recipes, then the shipped ones, first the one that needs nothing."""
    own = [path for path in sorted((folder or Path.cwd()).glob("*.toml")) if is_recipe(path)]
    return own + sorted(shipped_recipes(), key=lambda path: path.stem != "tiny")


def is_recipe(path: Path) -> bool:
    """Tell whether a TOML file looks like a recipe; a broken one still does if it names tasks."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
    except (tomllib.TOMLDecodeError, RecursionError):
        return "[[tasks]]" in path.read_text(encoding="utf-8")
    return "tasks" in data


def describe(path: Path) -> str:
    """Return a recipe's own line about itself."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return "cannot be read as it is; starting it shows why"
    return str(data.get("description") or data.get("model", ""))


def place(path: Path) -> str:
    """Say where a recipe lies."""
    return "shipped" if path in shipped_recipes() else "in this folder"


def resume_detached(run: Run) -> None:
    """Go on with a run from its last checkpoint, outliving the app."""
    from yofo_mlx import launch

    launch.detach(run)


def start_detached(recipe: Path, changes: list[str]) -> Run:
    """Start a run that outlives the app."""
    from yofo_mlx import launch

    return launch.start(recipe, changes)
