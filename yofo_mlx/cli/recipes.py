"""Verbs of `yofo recipes`."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Input, Json, Keys, Output, Overrides, RecipeNames, Records, sound


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


def new(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="File, folder, hub id.")],
    input: Input = None,
    output: Output = None,
    records: Records = None,
    keys: Keys = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; `-` is standard output.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Hub id, directory, or `tiny`; left out: a 7B in 4 bit.")
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Data set never to train on; repeatable."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Updates; left out: by the amount of data.")
    ] = None,
) -> int:
    """Write a recipe for data files, folders or hub ids.

    It reads them as `yofo data preview` shows.
    """
    from yofo_mlx.commands import recipes as command
    from yofo_mlx.commands.data_request import DataRequest

    request = DataRequest(paths, input, output, records, keys or [])
    return command.new(request, out=out, model=model, held_out=held_out or [], steps=steps)


def take_over(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="mlx-lm's lora_config.yaml.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; `-` is standard output.")
    ] = None,
) -> int:
    """Write a recipe for mlx-lm's LoRA configuration.

    What has no counterpart in a recipe is told.
    """
    from yofo_mlx.commands import lora_config as command

    return command.take_over(path, out)


def check(recipes: RecipeNames, overrides: Overrides = None) -> int:
    """Validate a recipe and print it as resolved.

    Of several it is what they make together; later ones beat earlier ones.
    """
    request = sound(recipes, overrides)
    from yofo_mlx.commands import recipes as command

    return command.check(request)


def explain(
    key: Annotated[str | None, typer.Argument(help="Section or section.key.")] = None,
    as_json: Json = False,
) -> int:
    """Explain the keys of a recipe with their defaults."""
    from yofo_mlx.commands import recipes as command

    return command.explain(key, as_json=as_json)
