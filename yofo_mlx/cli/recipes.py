"""Verbs of `yofo recipes`."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Json, Overrides, RecipeName


def show(as_json: Json = False) -> int:
    """List the recipes that come with yofo."""
    from yofo_mlx.commands import recipes as command

    return command.show(as_json=as_json)


def copy(
    name: str, target: Annotated[Path | None, typer.Argument(help="File to write.")] = None
) -> int:
    """Copy a shipped recipe to edit it."""
    from yofo_mlx.commands import recipes as command

    return command.copy(name, target)


def check(recipe: RecipeName, overrides: Overrides = None) -> int:
    """Validate a recipe and print it as resolved."""
    from yofo_mlx.commands import recipes as command

    return command.check(recipe, overrides or [])


def explain(
    key: Annotated[str | None, typer.Argument(help="Section or section.key.")] = None,
    as_json: Json = False,
) -> int:
    """Explain the keys of a recipe with their defaults."""
    from yofo_mlx.commands import recipes as command

    return command.explain(key, as_json=as_json)
