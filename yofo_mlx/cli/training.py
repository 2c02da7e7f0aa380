"""Verbs that prepare a run, start it and go on with it."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import (
    Detach,
    Force,
    Json,
    Overrides,
    RecipeNames,
    Restarts,
    RunName,
    Yes,
    sound,
)
from yofo_mlx.system import launcher


def train(
    recipes: RecipeNames,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="Name in the run's id.")] = None,
    detach: Detach = False,
    restarts: Restarts = 0,
    force: Force = False,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the whole recipe instead; nothing is begun.")
    ] = False,
) -> int:
    """Train a recipe, or what several make together.

    Later recipes beat earlier ones, and --set beats all.

    Ctrl-C once finishes the step and saves, twice leaves the step and saves what was before it.
    A run goes on when its terminal is closed.
    """
    from yofo_mlx.commands import background

    background.check_alone(detach=detach, restarts=restarts)
    if launcher.is_follower():
        from yofo_mlx.commands import following

        return following.follow()
    request = sound(recipes, overrides)
    if dry_run:
        from yofo_mlx.commands import recipes as printing

        return printing.check(request)
    request = request.of_ranks(launcher.count())
    if detach or restarts:
        return background.start(
            request, name=name, force=force, yes=yes, restarts=restarts, attend=not detach
        )
    from yofo_mlx.commands import train as command

    return command.start(request, name=name, force=force, yes=yes)


def resume(
    run: RunName,
    length: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="train.steps=N", help="Another length; nothing else."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Where its model is now, if that has moved.")
    ] = None,
    lock: Annotated[int | None, typer.Option(hidden=True)] = None,
    detach: Detach = False,
    restarts: Restarts = 0,
    force: Force = False,
) -> int:
    """Go on with a run from its newest checkpoint.

    It goes on as if it had never stopped. A finished run goes on with `--set train.steps=N`.
    """
    from yofo_mlx.commands import background

    background.check_alone(detach=detach, restarts=restarts)
    if launcher.is_follower():
        from yofo_mlx.commands import following

        return following.follow()
    if model:
        background.move_model(run, model)
    if length:
        background.extend(run, length, told=detach)
    if lock is not None and restarts:
        return background.supervise(run, lock, restarts, force=force)
    if detach or restarts:
        return background.resume(run, force=force, restarts=restarts, attend=not detach)
    from yofo_mlx.commands import train as command

    return command.resume(run, lock, force=force)


def plan(
    recipes: RecipeNames,
    overrides: Overrides = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Load the model, time a few steps.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Say what a recipe will need: memory, steps, time.

    No weights are downloaded or loaded without --probe. Ends with 4 if it does not fit.
    """
    request = sound(recipes, overrides)
    from yofo_mlx.commands import plan as command

    return command.plan(request, probed=probe, as_json=as_json)


def doctor(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE", help="Check this recipe's architecture."),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also measure speed and memory; a file to send."),
    ] = None,
) -> int:
    """Check this machine: attention, memory, exact gradients.

    --report takes some minutes; Ctrl-C leaves what was measured until then.
    """
    request = sound(recipes, overrides)
    if report:
        from yofo_mlx.commands import hardware

        return hardware.report(request, report)
    from yofo_mlx.commands import doctor as command

    return command.doctor(request, as_json=as_json)


def show(
    recipes: RecipeNames,
    overrides: Overrides = None,
    step: Annotated[int, typer.Option(min=0, help="Update whose first episode is shown.")] = 0,
    as_json: Json = False,
) -> int:
    """Show what is trained, targets coloured."""
    request = sound(recipes, overrides)
    from yofo_mlx.commands import show as command

    return command.show(request, step=step, as_json=as_json)
