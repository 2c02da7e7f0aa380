"""Options and arguments that several verbs share."""

from typing import Annotated

import typer

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
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Run id, a part of it, or `last`.")]
