"""What the place of data writes into a recipe: the rest of its text stays as it was."""

from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.system.files import write_text

FIX = 'bad_rows = "drop"'


def drop_bad_rows(recipe: Path, index: int) -> None:
    """Write into a recipe's data set, counted from 0, that its bad rows are left out."""
    document = _parsed(recipe)
    tables = document.get("tasks", [])
    if index >= len(tables) or "include" in document:
        raise RecipeError(
            f"{recipe.name} has that data set from a file that it includes",
            f"write there, below its source: {FIX}",
        )
    tables[index]["bad_rows"] = "drop"
    _write(recipe, document)


def append_task(recipe: Path, table: dict[str, Any]) -> None:
    """Write a data set behind those of a recipe."""
    import tomlkit

    document = _parsed(recipe)
    tables = document.get("tasks")
    if tables is None:
        tables = document["tasks"] = tomlkit.aot()
    added = tomlkit.table()
    added.update(table)
    tables.append(added)
    _write(recipe, document)


def _parsed(recipe: Path) -> Any:
    import tomlkit

    if recipe in shipped_recipes():
        raise RecipeError(
            f"{recipe.stem} is shipped with yofo and is not written to",
            f"take a copy of your own: yofo recipes copy {recipe.stem}",
        )
    try:
        return tomlkit.parse(recipe.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{recipe}: {error}", "mend it in an editor first") from error


def _write(recipe: Path, document: Any) -> None:
    import tomlkit

    try:
        write_text(recipe, tomlkit.dumps(document))
    except OSError as error:
        raise RecipeError(f"{recipe}: {error.strerror}", "check the disk") from error
