"""Options and arguments that several verbs share."""

from collections.abc import Sequence
from typing import Annotated

import typer


def known_run(name: str | None) -> str | None:
    """Refuse the name of no run before what a verb needs is imported."""
    from yofo_mlx.runs import listing

    if name is not None:
        listing.find(name)
    return name


def sound(name: str, overrides: Sequence[str] | None) -> list[str]:
    """Refuse a recipe with mistakes before what a verb needs is imported; return the overrides."""
    from yofo_mlx.recipe.file import find_recipe
    from yofo_mlx.runs.recipe import load_recipe

    load_recipe(find_recipe(name), overrides or [])
    return list(overrides or [])


Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a recipe key; repeatable."),
]
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A file, or a shipped recipe's name.")
]
Paths = Annotated[
    list[str], typer.Argument(metavar="PATH...", help="File, folder, hub id, recipe.")
]
Input = Annotated[str | None, typer.Option(help="Column or template of the input.")]
Output = Annotated[str | None, typer.Option(help="Column or template of the answer.")]
Records = Annotated[str | None, typer.Option(help="JSON: dotted path to the list of rows.")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of [[tasks]]; repeatable."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Train in the background.")]
Restarts = Annotated[
    int, typer.Option(min=0, metavar="N", help="Go on by itself after it died, N times at most.")
]
Force = Annotated[bool, typer.Option("--force", help="Also if it may not fit.")]
RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Run id, a part of it, or `last`.", callback=known_run),
]
