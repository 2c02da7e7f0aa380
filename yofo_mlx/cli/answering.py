"""The verbs that answer a file of queries."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yofo_mlx.cli.asked import (
    Adapter,
    Base,
    Block,
    BlocksShare,
    Choose,
    Demos,
    Instruction,
    MaxTokens,
    Model,
    Seed,
    Shots,
    count_or_all,
)
from yofo_mlx.cli.options import Json, Records, Subject
from yofo_mlx.recipe.ways import Way

if TYPE_CHECKING:
    from yofo_mlx.commands.answering import Asked, Files

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
    *,
    data: Data,
    out: Out,
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
    shots: Shots = None,
    seed: Seed = None,
    choose: Choose = "balanced",
    block: Block = None,
    blocks_share: BlocksShare = None,
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
    """Label each row of a file, with probabilities."""
    from yofo_mlx.commands import classify as command

    count = count_or_all(runners_up, "--runners-up")
    wishes = command.ClassifyWishes(
        labels or [], None if count == "all" else count, calibrate, picture, as_json
    )
    who = (run, model, adapter, base, demos, instruction)
    asked = _asked(*who, shots, seed, choose, block, blocks_share)
    files = _files(data, out, input, output, records, prefix, resume)
    return command.classify(asked, files, wishes)


def ask(
    run: Subject = None,
    *,
    data: Data,
    out: Out,
    demos: Demos = None,
    input: InputColumn = None,
    output: OutputColumn = None,
    records: Records = None,
    model: Model = None,
    adapter: Adapter = None,
    base: Base = False,
    instruction: Instruction = "",
    shots: Shots = None,
    seed: Seed = None,
    choose: Choose = "balanced",
    block: Block = None,
    blocks_share: BlocksShare = None,
    max_tokens: MaxTokens = None,
    prefix: Prefix = "yofo_",
    resume: Resume = False,
    as_json: Json = False,
) -> int:
    """Answer each row of a file freely."""
    from yofo_mlx.commands import ask as command

    who = (run, model, adapter, base, demos, instruction)
    asked = _asked(*who, shots, seed, choose, block, blocks_share)
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
    block: int | None,
    blocks_share: float | None,
) -> "Asked":
    from yofo_mlx.commands.answering import Asked

    wanted = count_or_all(shots, "--shots")
    who = (run, model, adapter, base, demos or [])
    return Asked(*who, wanted, seed, instruction, choose, block, blocks_share)


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
