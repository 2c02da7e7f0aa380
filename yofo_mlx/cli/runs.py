"""Verbs that look at runs and look after them."""

from typing import Annotated

import typer

from yofo_mlx.cli.options import Json, RunName

SomeRuns = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN", help="Run id, a part of it, or `last`; several at once."),
]


def show(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Show this one in full.")] = None,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="Add what each takes on the disk.")
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="BY",
            help="Best first: valid, prequential, accuracy, gain, left, memory, size, age.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """List runs, newest first; or show one in full.

    Of one: recipe, data, training, adapter, evaluations, disk, and what can be done next.
    """
    if run is not None:
        from yofo_mlx.commands import overview

        return overview.show(run, as_json=as_json)
    from yofo_mlx.commands import runs as command

    return command.show(sort=sort, sizes=sizes, as_json=as_json)


def remove(
    run: SomeRuns = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="Delete for good what is in the trash.")
    ] = False,
) -> int:
    """Move runs to the trash; `yofo restore` brings them back.

    With --empty those in the trash are deleted for good, all of them if none is named.
    """
    from yofo_mlx.commands import removing

    return removing.remove(run or [], for_good=empty)


def restore(
    run: SomeRuns = None,
    name: Annotated[
        str | None, typer.Option(help="Another name for it, if its own is taken.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Bring runs back from the trash; without RUN list them."""
    from yofo_mlx.commands import removing

    return removing.restore(run or [], name=name, as_json=as_json)


def rename(
    run: RunName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, dashes.")],
) -> int:
    """Give a run another name."""
    from yofo_mlx.commands import removing

    return removing.rename(run, name)


def note(
    run: RunName,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Left out: none.")] = "",
) -> int:
    """Write down what to remember of a run; `yofo runs` shows it."""
    from yofo_mlx.commands import removing

    return removing.note(run, text)


def watch(run: RunName, as_json: Json = False) -> int:
    """Follow a run from outside.

    Leaving it with Ctrl-C does not hurt it. With --json every event is a line of its own.
    """
    from yofo_mlx.commands import watch as command

    return command.watch(run, as_json=as_json)


def stop(
    run: RunName,
    now: Annotated[bool, typer.Option("--now", help="Leave the step.")] = False,
) -> int:
    """Ask a run to finish its step, save and exit.

    With --now it leaves the step, saves what was before it, and its end is waited for.
    """
    from yofo_mlx.commands import stop as command

    return command.stop(run, now=now)


def log(
    run: RunName,
    to: Annotated[
        str, typer.Option("--to", metavar="TRACKER", help="tensorboard, wandb, mlflow, csv.")
    ],
    out: Annotated[
        str | None, typer.Option(metavar="PATH", help="Where; left out: its usual place.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False,
) -> int:
    """Write a run's figures for another tracker.

    Also of a past run. Nothing is sent anywhere unless the tracker itself is set up to.
    """
    from yofo_mlx.commands import log as command

    return command.log(run, to, out, live=follow)


def mcp() -> int:
    """Serve runs to an agent (MCP, stdio).

    It can list, read, start, evaluate and classify; nothing is deleted.
    """
    from yofo_mlx.commands import mcp as command

    return command.serve()
