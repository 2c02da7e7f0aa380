"""The verbs that answer a file of queries."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yofo_mlx.cli.options import Choose, Json, Records, known_subject
from yofo_mlx.cli.prompting import count_or_all
from yofo_mlx.recipe.ways import Way

if TYPE_CHECKING:
    from yofo_mlx.commands.answering import Asked, Files

Subject = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN|MODEL]", help="Run id, `last`, or a base model.", callback=known_subject
    ),
]
Model = Annotated[str | None, typer.Option(help="Base model, in place of a run's.")]
Adapter = Annotated[str | None, typer.Option(metavar="DIR", help="An adapter that is of no run.")]
Base = Annotated[bool, typer.Option("--base", help="Leave the adapter out.")]
Demos = Annotated[
    list[str] | None, typer.Option(help="Demonstrations: file, folder, hub id, `-`; repeatable.")
]
Instruction = Annotated[str, typer.Option(help="Sentence before the demonstrations.")]
ShownShots = Annotated[
    str | None,
    typer.Option(metavar="N|all", help="Show so many, also beyond the training's length."),
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Chooses and shuffles them; default: the run's.")
]
Data = Annotated[str, typer.Option(metavar="FILE", help="Rows to answer: CSV, JSONL, Parquet.")]
Out = Annotated[
    Path, typer.Option(metavar="FILE", help="The same rows with answers: .csv, .jsonl, .parquet.")
]
InputColumn = Annotated[
    str | None, typer.Option("--input", help="Column or template of the query.")
]
OutputColumn = Annotated[
    str | None, typer.Option("--output", help="Column of right answers, to compare with.")
]
Prefix = Annotated[str, typer.Option(help="What the names of the answers' columns begin with.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what was answered before.")]


def classify(
    run: Subject = None,
    data: Data = ...,  # type: ignore[assignment]
    out: Out = ...,  # type: ignore[assignment]
    demos: Demos = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="`a|b|c`, or @FILE with one a line; default: the demonstrations'."),
    ] = None,
    input: InputColumn = None,
    output: OutputColumn = None,
    records: Records = None,
    model: Model = None,
    adapter: Adapter = None,
    base: Base = False,
    instruction: Instruction = "",
    shots: ShownShots = None,
    seed: Seed = None,
    choose: Choose = "balanced",
    runners_up: Annotated[
        str, typer.Option(metavar="N|all", help="So many labels beside the likeliest.")
    ] = "3",
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Temper probabilities by the demonstrations.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Reliability picture to write (SVG, PNG, PDF).")
    ] = None,
    prefix: Prefix = "yofo_",
    resume: Resume = False,
    as_json: Json = False,
) -> int:
    """Label each row of a file, with probabilities, behind demonstrations."""
    from yofo_mlx.commands import classify as command

    count = count_or_all(runners_up, "--runners-up")
    wishes = command.ClassifyWishes(
        labels or [], None if count == "all" else count, calibrate, picture, as_json
    )
    asked = _asked(run, model, adapter, base, demos, instruction, shots, seed, choose)
    return command.classify(
        asked, _files(data, out, input, output, records, prefix, resume), wishes
    )


def ask(
    run: Subject = None,
    data: Data = ...,  # type: ignore[assignment]
    out: Out = ...,  # type: ignore[assignment]
    demos: Demos = None,
    input: InputColumn = None,
    output: OutputColumn = None,
    records: Records = None,
    model: Model = None,
    adapter: Adapter = None,
    base: Base = False,
    instruction: Instruction = "",
    shots: ShownShots = None,
    seed: Seed = None,
    choose: Choose = "balanced",
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of an answer; default 256.")
    ] = None,
    prefix: Prefix = "yofo_",
    resume: Resume = False,
    as_json: Json = False,
) -> int:
    """Answer each row of a file freely, behind demonstrations."""
    from yofo_mlx.commands import ask as command

    asked = _asked(run, model, adapter, base, demos, instruction, shots, seed, choose)
    files = _files(data, out, input, output, records, prefix, resume)
    return command.ask(asked, files, max_tokens=max_tokens, as_json=as_json)


def _asked(
    run: str | None,
    model: str | None,
    adapter: str | None,
    base: bool,
    demos: list[str] | None,
    instruction: str,
    shots: str | None,
    seed: int | None,
    choose: Way,
) -> "Asked":
    from yofo_mlx.commands.answering import Asked

    wanted = None if shots is None else count_or_all(shots, "--shots")
    return Asked(run, model, adapter, base, demos or [], instruction, wanted, seed, choose)


def _files(
    data: str,
    out: Path,
    input: str | None,
    output: str | None,
    records: str | None,
    prefix: str,
    resume: bool,
) -> "Files":
    from yofo_mlx.commands.answering import Files

    return Files(data, out, input, output, records, prefix, resume)
