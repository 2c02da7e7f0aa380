"""Verbs of `yofo models`."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Json


def models(context: typer.Context, as_json: Json = False) -> None:
    """List models where no verb is given."""
    if context.invoked_subcommand is None:
        show(as_json=as_json)


def show(as_json: Json = False) -> int:
    """List models: those on the disk, and those that shipped recipes are for.

    Of each its size and how many tokens of an episode this machine can train.
    """
    from yofo_mlx.commands import models as command

    return command.show(as_json=as_json)


def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE.gguf", help="A model of llama.cpp's.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write; left out: yofo's own.")
    ] = None,
) -> int:
    """Write a GGUF file as a directory that mlx-lm loads.

    Of the architectures llama (with mistral and smollm), qwen2 and qwen3. A recipe and `--model`
    take the file itself, too.
    """
    from yofo_mlx.commands import models as command

    return command.import_model(file, out)
