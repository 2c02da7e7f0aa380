"""Verbs of `yofo demos`."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Input, Json, Output, Records, known_run

SetName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a set.")]
OfRun = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="Run id or `last`.", callback=known_run),
]
OfModel = Annotated[str | None, typer.Option(help="Base model, where there is no run.")]


def show_all(as_json: Json = False) -> int:
    """List the sets, their sizes, and what models keep of them on disk."""
    from yofo_mlx.commands import demos as command

    return command.show_all(as_json=as_json)


def add(
    name: SetName,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE...", help="File, folder, hub id, `-`, another set."),
    ] = None,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    instruction: Annotated[
        str | None, typer.Option(help="Sentence before them; an empty one: none.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Append demonstrations to a set, or make it."""
    from yofo_mlx.commands import demos as command
    from yofo_mlx.prompting.demonstrations import Style

    style = Style(input=input, output=output, records=records)
    return command.add(name, sources or [], style=style, instruction=instruction, as_json=as_json)


def show(name: SetName, run: OfRun = None, model: OfModel = None, as_json: Json = False) -> int:
    """Print the rows with their numbers; with a run or a model, their tokens."""
    from yofo_mlx.commands import demos as command

    return command.show(name, run=run, model=model, as_json=as_json)


def check(name: SetName, run: OfRun = None, model: OfModel = None, as_json: Json = False) -> int:
    """Report doublets, contradictions, rare labels; with a run or a model, health."""
    from yofo_mlx.commands import demos as command

    return command.check(name, run=run, model=model, as_json=as_json)


def refine(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A set, or a file of rows.")],
    run: OfRun = None,
    model: OfModel = None,
    out: Annotated[Path | None, typer.Option(help="The prompt cache file to write.")] = None,
    shots: Annotated[int, typer.Option(min=2, help="Most demonstrations, labels in turn.")] = 32,
    steps: Annotated[int, typer.Option(min=1, help="Updates of keys and values.")] = 20,
    learning_rate: Annotated[
        float, typer.Option(min=1e-9, max=1.0, help="Adam's, for keys and values.")
    ] = 0.01,
    batch: Annotated[int, typer.Option(min=1, help="Demonstrations asked at once.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of their order.")] = 0,
) -> int:
    """Refine what a model reads of a set by gradient, into a file that `--demos` takes."""
    from yofo_mlx.commands import refine as command

    return command.refine_set(
        name,
        run,
        model,
        out,
        shots=shots,
        steps=steps,
        learning_rate=learning_rate,
        batch=batch,
        seed=seed,
    )


def drop(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Name of a set.")] = None,
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="ROW...", help="Only these: 3, or 5-9.")
    ] = None,
    caches: Annotated[
        bool, typer.Option("--caches", help="Only what models keep of it; without NAME, of all.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Drop a set or rows of it; they stay in a file that can be added again."""
    from yofo_mlx.commands import demos as command

    return command.drop(name, rows or [], caches=caches, as_json=as_json)
