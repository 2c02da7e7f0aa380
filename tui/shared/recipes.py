"""The recipes a user has: the shipped ones, and those in the folder the app was opened in."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from yofo_mlx.errors import RunError, YofoError
from yofo_mlx.recipe.compose import compose
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import child, paths

_DATE = re.compile(r"^\d{8}-\d{6}-")
Starter = Callable[[Path, list[str]], Run]


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
        text = _text(path)
        return "[[tasks]]" in text or "include" in text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def describe(path: Path) -> str:
    """Return a recipe's own line about itself."""
    try:
        data = compose([path]).data
    except YofoError:
        return "cannot be read as it is; starting it shows why"
    return str(data.get("description") or data.get("model", ""))


def place(path: Path) -> str:
    """Say where a recipe lies."""
    return "shipped" if path in shipped_recipes() else "in this folder"


def resume_detached(run: Run) -> None:
    """Go on with a run from its last checkpoint, outliving the app."""
    from yofo_mlx.runs import launch

    launch.detach(run)


def start_detached(recipe: Path, changes: list[str]) -> Run:
    """Start a run that outlives the app; the command line checks all that it checks for anybody.

    A recipe that is a run's own starts a run of its name.
    """
    options = [f"--set={change}" for change in changes]
    if recipe.parent.parent == paths.runs():
        options.append(f"--name={_DATE.sub('', recipe.parent.name)}")
    done = subprocess.run(
        child.command("yofo_mlx.cli", "train", str(recipe), "--detach", *options),
        env=child.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode == 0:
        return Run(Path(done.stdout.rstrip("\n")))
    _, found, said = done.stderr.rpartition("error: ")
    message, _, hint = said.strip().partition("\n")
    message = _a_line_each(message.removeprefix(f"{recipe}: ").removeprefix("--set: "))
    raise RunError(message if found else f"no run was started: {message}", hint.strip())


def _a_line_each(message: str) -> str:
    """Put the mistakes of a recipe below each other."""
    count, several, mistakes = message.partition(" mistakes: ")
    if not (several and count.isdecimal()):
        return message
    return "\n".join([f"{count} mistakes:", *mistakes.split("; ")])
