"""The verb that answers from demonstrations."""

from typing import Annotated, Literal

import typer

from yofo_mlx.cli.options import Input, Json, Output, Records, known_run

Beside = Annotated[
    list[str] | None,
    typer.Option(metavar="SUBJECT", help="Answer with `base`, a run, an adapter too; repeatable."),
]
MakeRoom = Annotated[
    bool,
    typer.Option("--make-room", help="Those beside may forget what they read, for memory."),
]


def chat(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run id or `last`.", callback=known_run)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Base model, where there is no run.")] = None,
    adapter: Annotated[
        str | None, typer.Option(metavar="DIR", help="An adapter that is of no run.")
    ] = None,
    demos: Annotated[
        list[str] | None,
        typer.Option(help="Demonstrations: file, folder, hub id, `-`; repeatable."),
    ] = None,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    instruction: Annotated[str, typer.Option(help="Sentence before the demonstrations.")] = "",
    base: Annotated[bool, typer.Option("--base", help="Leave the adapter out.")] = False,
    beside: Beside = None,
    make_room: MakeRoom = False,
    shots: Annotated[
        str | None,
        typer.Option(metavar="N|all", help="Show so many, also beyond the training's length."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Chooses and shuffles them; default: the run's.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Answer with the likeliest of these; repeatable.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of an answer; default 256.")
    ] = None,
    query: Annotated[list[str] | None, typer.Option(help="Answer and leave; repeatable.")] = None,
    as_json: Json = False,
) -> int:
    """Answer queries from demonstrations in the context."""
    from yofo_mlx.commands import chat as command

    return command.chat(
        run,
        model=model,
        adapter=adapter,
        demos=demos or [],
        input=input,
        output=output,
        records=records,
        instruction=instruction,
        base=base,
        beside=beside or [],
        make_room=make_room,
        shots=_shots(shots),
        seed=seed,
        labels=label or [],
        max_tokens=max_tokens,
        queries=query or [],
        as_json=as_json,
    )


def _shots(text: str | None) -> int | Literal["all"] | None:
    from yofo_mlx.prompting.choosing import shots_of

    wanted = None if text is None else shots_of(text)
    if text is not None and wanted is None:
        raise typer.BadParameter("a number, or `all`", param_hint="--shots")
    return wanted
