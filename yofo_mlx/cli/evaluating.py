"""The verb that measures a run."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Json, Overrides, RunName


def evaluate(
    run: RunName,
    overrides: Overrides = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Held-out task or kind; repeatable.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Picture to write (PNG, SVG, PDF).")] = None,
    as_json: Json = False,
) -> int:
    """Measure scores by shots on held-out tasks, base against adapter.

    Each result is kept with the run; one that was interrupted goes on when it is asked again.
    """
    from yofo_mlx.commands import eval as command

    return command.evaluate_run(
        run, overrides or [], only=task or [], as_json=as_json, picture=picture
    )
