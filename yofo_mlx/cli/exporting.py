"""The verb that brings an adapter into another tool's form."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from yofo_mlx.cli.asked import Adapter, Model
from yofo_mlx.cli.options import known_run
from yofo_mlx.recipe.ways import Form


def export(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run id or `last`.", callback=known_run)
    ] = None,
    to: Annotated[
        Form, typer.Option("--to", help="Form; fused: a model directory, base and adapter in one.")
    ] = "fused",
    model: Model = None,
    adapter: Adapter = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder; left out: RUN-FORM, here.")
    ] = None,
    bits: Annotated[
        Literal["4", "8"] | None, typer.Option(help="Quantize a fused model so.")
    ] = None,
    dequantize: Annotated[
        bool, typer.Option("--dequantize", help="Write a fused model's weights as they are, whole.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write it though quantizing loses the adapter.")
    ] = False,
    repo: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload it there, to the hub.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="A new repository is for everybody to see.")
    ] = False,
) -> int:
    """Write an adapter in the form of another tool.

    A fused model is compared with the adapter on its base before it appears.
    """
    from yofo_mlx.commands import export as command

    return command.export(
        command.ExportRequest(
            run=run,
            model=model,
            adapter=adapter,
            form=to,
            out=out,
            bits=int(bits) if bits else None,
            dequantize=dequantize,
            force=force,
            repo=repo,
            public=public,
        )
    )
