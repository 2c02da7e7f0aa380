"""Verbs of `yofo models`."""

from pathlib import Path
from typing import Annotated

import typer


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
