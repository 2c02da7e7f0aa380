"""The verb that measures a run."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Input, Json, Output, Records, ShotNumbers, shot_numbers

Choice = Annotated[bool, typer.Option("--choice", help="Rank the labels of label tasks, too.")]
Rows = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Every query with its answers, as .csv or .jsonl."),
]
Ways = Annotated[
    str | None,
    typer.Option(metavar="WAY,WAY", help="Compare balanced, similar, tail demonstrations."),
]
Overriding = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Recipe key; with --data of [[tasks]], too."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure the base again, known or not.")]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="A B", help="Two of them side by side: numbers, RUN:NUMBER, files."),
]


def evaluate(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN|MODEL]", help="Run id, `last`, or a base model.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Measure on a file, folder, hub id; repeatable."),
    ] = None,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    family: Annotated[str | None, typer.Option(help="Kind of the data's task.")] = None,
    metric: Annotated[str | None, typer.Option(help="exact, number, f1, rouge, fields.")] = None,
    shots: ShotNumbers = None,
    overrides: Overriding = None,
    task: Annotated[list[str] | None, typer.Option(help="Task or kind; repeatable.")] = None,
    adapter: Annotated[
        str | None, typer.Option(metavar="DIR", help="An adapter that is of no run.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its base model; alone: that model.")] = None,
    choice: Choice = False,
    choose: Ways = None,
    rows: Rows = None,
    fresh: Fresh = False,
    picture: Annotated[Path | None, typer.Option(help="Picture to write (PNG, SVG, PDF).")] = None,
    kept: Annotated[bool, typer.Option("--list", help="List the evaluations there are.")] = False,
    compare: Compare = None,
    as_json: Json = False,
) -> int:
    """Measure scores by shots, base against adapter.

    That is on held-out tasks, or on --data. Each result is kept with the run; one that was
    interrupted goes on when it is asked again.
    """
    from yofo_mlx.commands import eval as command
    from yofo_mlx.evaluation import subjects

    at = [f"evaluation.shots={numbers}"] if (numbers := shot_numbers(shots)) else []
    subject = subjects.find(run, model, adapter)
    keys = {"input": input, "output": output, "records": records}
    keys |= {"family": family, "metric": metric}
    if kept or compare:
        idle: dict[str, object] = {"data": data, "set": overrides, "task": task, **keys}
        idle |= {
            "shots": shots,
            "choose": choose,
            "choice": choice,
            "fresh": fresh,
            "picture": picture,
            "rows": rows,
        }
        return command.show(subject, compare, idle=idle, as_json=as_json)
    return command.evaluate(
        subject,
        [*(overrides or []), *at],
        data=data or [],
        keys=keys,
        only=task or [],
        wishes=command.EvalWishes(choice, fresh, rows, command.ways_of(choose), picture, as_json),
    )
