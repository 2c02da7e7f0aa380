"""Verbs of `yofo queue`."""

from typing import Annotated

import typer

from yofo_mlx.cli.options import Force, Json, Overrides, Restarts
from yofo_mlx.errors import RecipeError

Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN", help="Run id, a part of it, or `last`; several at once."),
]


def queue(context: typer.Context, as_json: Json = False) -> None:
    """Show the queue where no verb is given."""
    if context.invoked_subcommand is None:
        show(as_json=as_json)


def add(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE", help="File, or a shipped recipe; each is a run."),
    ] = None,
    upon: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="RECIPE", help="On top of each of them; repeatable."),
    ] = None,
    overrides: Overrides = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=A,B", help="A run for each value; of several, for each pair."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only so many of a grid's runs, drawn.")
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="RECIPE", help="Make the study of a recipe; repeatable."),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="Go on with this run, or begin it; repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name in the runs' ids.")] = None,
    restarts: Restarts = 0,
    force: Force = False,
    as_json: Json = False,
) -> int:
    """Queue runs: recipes, values, or both; and studies.

    They are trained one after another, when the app and the terminal are closed, too. What is
    queued is a run folder at once: later changes of a recipe file do not change it.
    """
    if not (recipes or run or study):
        raise RecipeError("nothing is named to be queued", "`yofo queue add tiny`")
    from yofo_mlx.commands import queueing as command
    from yofo_mlx.queueing.grid import requests
    from yofo_mlx.runs.recipe import RecipeRequest

    only_studies = bool(study and not recipes)  # whose changes the others then are
    changes = upon or [], overrides or [], grid or []
    found = [] if only_studies else requests(recipes or [], *changes, sample)
    if study and grid:
        raise RecipeError("--grid is of runs, and not of a study", "queue them one by one")
    studies = [RecipeRequest([one, *(upon or [])], overrides or []) for one in study or []]
    return command.add(
        found,
        run or [],
        studies=studies,
        name=name,
        restarts=restarts,
        force=force,
        as_json=as_json,
    )


def show(as_json: Json = False) -> int:
    """List what is queued, and how it stands."""
    from yofo_mlx.commands import queueing as command

    return command.show(as_json=as_json)


def drop(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Run id, or a part of it.")
    ] = None,
    ended: Annotated[bool, typer.Option("--ended", help="All whose training has ended.")] = False,
) -> int:
    """Take runs off the queue; what was never begun goes to the trash.

    A run that is being trained goes on: `yofo stop` ends it.
    """
    from yofo_mlx.commands import queueing as command

    return command.drop(runs or [], ended=ended)


def retry(runs: Runs) -> int:
    """Let runs that failed or were stopped be trained again, from their checkpoints."""
    from yofo_mlx.commands import queueing as command

    return command.retry(runs)


def first(runs: Runs) -> int:
    """Let runs be next."""
    from yofo_mlx.commands import queueing as command

    return command.first(runs)


def pause(
    now: Annotated[
        bool, typer.Option("--now", help="Stop what is being trained; it goes on later.")
    ] = False,
) -> int:
    """Begin no further run, until `yofo queue start`."""
    from yofo_mlx.commands import queueing as command

    return command.pause(now=now)


def start(
    at_once: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Train N at a time, where memory allows it."),
    ] = None,
) -> int:
    """Go on with the queue, after a pause or a reboot."""
    from yofo_mlx.commands import queueing as command

    return command.start(at_once)


def work(lock: Annotated[int | None, typer.Option(hidden=True)] = None) -> int:
    """Work the queue off in this process."""
    from yofo_mlx.queueing import worker

    worker.work(lock)
    return 0
