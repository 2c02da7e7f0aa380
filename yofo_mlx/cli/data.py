"""Verbs of `yofo data`."""

from typing import Annotated

import typer

from yofo_mlx.cli.options import Input, Json, Keys, Output, Paths, Records


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
    """Report every problem of data files, folders, hub ids, or a recipe's data sets."""
    from yofo_mlx.commands import data as command

    return command.check(
        paths,
        input=input,
        output=output,
        records=records,
        overrides=keys or [],
        strict=strict,
        every=every,
        as_json=as_json,
    )


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

    keys = keys or []
    return command.preview(
        *paths, input=input, output=output, records=records, overrides=keys, as_json=as_json
    )
