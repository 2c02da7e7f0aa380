"""The verb that answers from demonstrations."""

from typing import Annotated

import typer

from yofo_mlx.cli.options import Input, Json, Output, Records, known_run


def chat(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run id or `last`.", callback=known_run)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Base model, where there is no run.")] = None,
    demos: Annotated[str | None, typer.Option(help="Demonstrations: file, folder, hub id.")] = None,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    instruction: Annotated[str, typer.Option(help="Sentence before the demonstrations.")] = "",
    base: Annotated[bool, typer.Option("--base", help="Leave the adapter out.")] = False,
    query: Annotated[list[str] | None, typer.Option(help="Answer and leave; repeatable.")] = None,
    as_json: Json = False,
) -> int:
    """Answer queries from demonstrations in the context."""
    from yofo_mlx.commands import chat as command

    return command.chat(
        run,
        model=model,
        demos=demos,
        input=input,
        output=output,
        records=records,
        instruction=instruction,
        base=base,
        queries=query or [],
        as_json=as_json,
    )
