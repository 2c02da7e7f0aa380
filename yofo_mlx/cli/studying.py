"""The verb that makes the paper's comparison."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Json, Overrides, ShotNumbers, shot_numbers, sound, words
from yofo_mlx.errors import RecipeError


def study(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE", help="File, or a shipped recipe's name."),
    ] = None,
    arms: Annotated[
        str | None, typer.Option(metavar="A,B", help="Arms, such as base,many-all; else all.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens to process for each adapter.")
    ] = None,
    queries: Annotated[int | None, typer.Option(min=1, help="Queries of each task.")] = None,
    shots: ShotNumbers = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of the main arms.")] = None,
    apart: Annotated[
        bool, typer.Option("--apart", help="Also the tasks that the recipe sets apart.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Adapters made at a time; on a CPU 2, else 1.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The study's folder.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Only write that study's report anew.")
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> int:
    """Compare ways to train: the paper's arms on a recipe.

    Each arm is trained and measured on the held-out tasks; then there is one report. The same
    command goes on where it was stopped, and makes only what is missing.
    """
    if report:
        from yofo_mlx.commands import study_report

        return study_report.report(report, as_json=as_json)
    if not recipes:
        raise RecipeError("a study is of a recipe, and none is named", "`yofo study tiny`")
    request = sound(recipes, overrides)
    numbers = shot_numbers(shots)
    from yofo_mlx.study.arms import chosen

    named = words(arms, "--arms")
    chosen(named or None)
    from yofo_mlx.commands import study as command

    return command.study(
        request,
        arms=named,
        tokens=tokens,
        queries=queries,
        shots=numbers,
        seeds=seeds,
        apart=apart,
        jobs=jobs,
        out=out,
        as_json=as_json,
    )
