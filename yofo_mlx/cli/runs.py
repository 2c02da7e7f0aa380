"""Verbs that look at runs and look after them."""

from typing import Annotated

import typer

from yofo_mlx.cli.options import Json, RunName


def show(as_json: Json = False) -> int:
    """List runs, newest first."""
    from yofo_mlx.commands import runs as command

    return command.show(as_json=as_json)


def watch(run: RunName, as_json: Json = False) -> int:
    """Follow a run from outside; leaving it with Ctrl-C does not hurt it.

    With --json every event is printed on a line of its own.
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
