"""The verb that chooses training rows."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Json, Overrides, RecipeNames, known_run, sound


def select(
    recipes: RecipeNames,
    overrides: Overrides = None,
    by: Annotated[
        str, typer.Option(metavar="WAY", help="davir, delift, or random to compare with.")
    ] = "delift",
    share: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of each task's rows; left out: 0.3.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Of each task, instead.")] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="davir: the run that was trained on all rows."),
    ] = None,
    probes: Annotated[
        int, typer.Option(min=1, help="delift: rows on which each row is tried.")
    ] = 32,
    out: Annotated[Path | None, typer.Option(help="Folder to write; left out: RECIPE-WAY.")] = None,
    as_json: Json = False,
) -> int:
    """Choose the training rows that are worth most.

    What comes out is a smaller data set for each training task, with the scores, and a recipe that
    trains on them. One that was interrupted goes on when it is asked again.
    """
    from yofo_mlx.selecting.settings import read_settings

    settings = read_settings(by, share, rows, known_run(run), probes)
    request = sound(recipes, overrides)
    from yofo_mlx.commands import select as verb

    return verb.select(request, settings, out=out, as_json=as_json)
