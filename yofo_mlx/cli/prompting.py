"""The verb that answers from demonstrations."""

from typing import Annotated, Literal

import typer

from yofo_mlx.cli.options import Choose, Input, Json, Output, Records, known_run

Keep = Annotated[
    bool, typer.Option("--keep/--no-keep", help="What is read of a named set stays on disk.")
]
KvBits = Annotated[
    Literal["4", "8"] | None,
    typer.Option(help="Round what stays there: less disk, no longer exact."),
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
        typer.Option(help="Demonstrations: set, file, folder, hub id, `-`; repeatable."),
    ] = None,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    instruction: Annotated[str, typer.Option(help="Sentence before the demonstrations.")] = "",
    base: Annotated[bool, typer.Option("--base", help="Leave the adapter out.")] = False,
    shots: Annotated[
        str | None,
        typer.Option(metavar="N|all", help="Show so many, also beyond the training's length."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Chooses and shuffles them; default: the run's.")
    ] = None,
    choose: Choose = "balanced",
    label: Annotated[
        list[str] | None, typer.Option(help="Answer with the likeliest of these; repeatable.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of an answer; default 256.")
    ] = None,
    query: Annotated[list[str] | None, typer.Option(help="Answer and leave; repeatable.")] = None,
    keep: Keep = True,
    kv_bits: KvBits = None,
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
        shots=None if shots is None else count_or_all(shots, "--shots"),
        seed=seed,
        way=choose,
        labels=label or [],
        max_tokens=max_tokens,
        queries=query or [],
        as_json=as_json,
        keeps=keep,
        kv_bits=int(kv_bits) if kv_bits else None,
    )


def count_or_all(text: str, option: str) -> int | Literal["all"]:
    """Return a number that an option says, or `all`."""
    from yofo_mlx.prompting.choosing import shots_of

    wanted = shots_of(text)
    if wanted is None:
        raise typer.BadParameter("a number, or `all`", param_hint=option)
    return wanted
