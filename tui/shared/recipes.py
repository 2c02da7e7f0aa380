"""The recipes a user has: the shipped ones, and those in the folder the app was opened in."""

import os
from pathlib import Path

from yofo_mlx.errors import YofoError
from yofo_mlx.recipe.compose import compose
from yofo_mlx.recipe.file import read_toml, shipped_recipes
from yofo_mlx.recipe.schema import Recipe


def find_recipes(folder: Path | None = None) -> list[Path]:
    """Return the user's own recipes, then the shipped ones, first the one that needs nothing."""
    shipped = sorted(shipped_recipes(), key=lambda path: path.stem != "tiny")
    found = sorted((folder or here()).glob("*.toml"))
    return [path for path in found if path not in shipped and is_recipe(path)] + shipped


def here() -> Path:
    """Return the folder the app was opened in, also when it has been removed since."""
    try:
        return Path.cwd()
    except OSError:
        return Path(os.sep)


def near(text: str) -> str:
    """Leave the folder we are in out of a text."""
    return text.replace(f"{here()}{os.sep}", "")


def is_recipe(path: Path) -> bool:
    """Tell whether a TOML file looks like a recipe; a broken one still does if it names tasks.

    One that holds nothing but data sets is a part of recipes.
    """
    try:
        keys = compose([path]).data.keys()
        return "tasks" in keys and bool(keys - {"tasks", "description"})
    except YofoError:
        return _was_meant(path)


def _was_meant(path: Path) -> bool:
    """Tell whether a file is meant as a recipe, though it or what it includes cannot be read."""
    try:
        own = read_toml(path).keys()
    except YofoError:
        text = _text(path)
        return "[[tasks]]" in text or "include" in text
    return "include" in own and not own.isdisjoint(Recipe.model_fields)  # other tools include too


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def about_recipe(path: Path) -> str:
    """Return a recipe's own line about itself."""
    try:
        data = compose([path]).data
    except YofoError:
        return "cannot be read as it is; starting it shows why"
    return str(data.get("description") or data.get("model", ""))


def place(path: Path) -> str:
    """Say where a recipe or data lie, short."""
    if path in shipped_recipes():
        return "shipped"
    folder = here() / path.parent
    return "this folder" if folder == here() else near(str(folder))
