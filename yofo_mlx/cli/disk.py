"""Verbs of `yofo disk`."""

from typing import Annotated

import typer

from yofo_mlx.cli.options import Json


def disk(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also what is small.")] = False,
    as_json: Json = False,
) -> None:
    """Show what takes room where no verb is given."""
    if context.invoked_subcommand is None:
        from yofo_mlx.commands import disk as command

        command.show(everything=everything, as_json=as_json)


def free(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="As `yofo disk` lists it; or a kind.")
    ],
    for_good: Annotated[
        bool, typer.Option("--for-good", help="Also what cannot be brought back.")
    ] = False,
) -> int:
    """Let something go, such as `checkpoints` or `hub:owner/name`.

    It goes to the trash, from where `yofo disk undo` brings it back; models of the hub and the
    trash itself go for good, and only with --for-good.
    """
    from yofo_mlx.commands import disk as command

    return command.free(names, for_good=for_good)


def undo() -> int:
    """Bring back what `yofo disk free` let go last."""
    from yofo_mlx.commands import disk as command

    return command.undo()
