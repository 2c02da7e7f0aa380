"""Verbs of `yofo data`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from yofo_mlx.cli.options import Input, Json, Keys, Output, Paths, Records

Split = Annotated[
    Literal["train", "valid", "test", "all"] | None, typer.Option(help="The rows of one split.")
]
Overwrite = Annotated[bool, typer.Option("--force", help="Write over what is there.")]


def check(
    paths: Paths,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    keys: Keys = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every line, however many.")] = False,
    as_json: Json = False,
) -> int:
    """Report every problem of data sets, or of those of a recipe."""
    from yofo_mlx.commands import data as command
    from yofo_mlx.commands.data_request import DataRequest

    request = DataRequest(paths, input, output, records, keys or [])
    return command.check(request, strict=strict, every=every, as_json=as_json)


def preview(
    paths: Paths,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    keys: Keys = None,
    as_json: Json = False,
) -> int:
    """Show what yofo reads: columns, counts, labels, examples."""
    from yofo_mlx.commands import data as command
    from yofo_mlx.commands.data_request import DataRequest

    request = DataRequest(paths, input, output, records, keys or [])
    return command.preview(request, as_json=as_json)


def convert(
    paths: Paths,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    keys: Keys = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="X.jsonl, or a folder for a file a split; else stdout."),
    ] = None,
    split: Split = None,
    force: Overwrite = False,
) -> int:
    """Write what yofo reads as JSON Lines.

    Each row has `input` and `output`.
    """
    from yofo_mlx.commands import convert as command
    from yofo_mlx.commands.data_request import DataRequest

    request = DataRequest(paths, input, output, records, keys or [])
    return command.convert(request, out=out, split=split, force=force)


def merge(
    paths: Paths,
    out: Annotated[
        Path, typer.Option(metavar="OUT", help="X.jsonl, or a folder for a file a split.")
    ],
    input: Input = None,
    output: Output = None,
    records: Records = None,
    keys: Keys = None,
    split: Split = None,
    keep_repeats: Annotated[
        bool, typer.Option("--keep-repeats", help="Repeated rows are kept.")
    ] = False,
    force: Overwrite = False,
) -> int:
    """Write several data sets as one task, repeated rows once."""
    from yofo_mlx.commands import convert as command
    from yofo_mlx.commands.data_request import DataRequest

    request = DataRequest(paths, input, output, records, keys or [])
    return command.merge(request, out=out, split=split, force=force, keep_repeats=keep_repeats)
