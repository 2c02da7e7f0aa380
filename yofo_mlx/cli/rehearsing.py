"""The verb that lets a base model answer its own training inputs."""

from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx.cli.options import Json, Overrides, RecipeNames, sound


def rehearse(
    recipes: RecipeNames,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; left out: RECIPE-rehearsed.")
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JUDGE",
            help="label, number, exact, normalised, model, command; FAMILY=JUDGE for one family;"
            " repeatable.",
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(help="Program of --judge command: JSON on stdin, exit status 0 accepts."),
    ] = None,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Demonstrations before each input.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most rows of each task.")] = None,
    paraphrase: Annotated[
        bool, typer.Option(help="Ask for the expected answer in the model's own words.")
    ] = True,
    distill: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Write own answers with what the base would say, the expected answer in its"
            " context: so many tokens a place (SDFT).",
        ),
    ] = None,
    doubt: Annotated[
        bool, typer.Option("--doubt", help="Write how unsure the base is of each answer (UAL).")
    ] = False,
    as_json: Json = False,
) -> int:
    """Let the base answer its training inputs itself.

    Where a judge accepts an answer it replaces the target: that is S3FT, with --no-paraphrase SSR.
    What comes out is a data set for each training task, and a recipe that trains on them. One that
    was interrupted goes on when it is asked again.
    """
    from yofo_mlx.rehearsal.settings import read_settings

    how = {"shots": shots, "limit": limit, "distill": distill}
    settings = read_settings(judge or [], command, **how, paraphrase=paraphrase, doubt=doubt)
    request = sound(recipes, overrides)
    from yofo_mlx.commands import rehearse as verb

    return verb.rehearse(request, settings, out=out, as_json=as_json)


def rationales(
    recipes: RecipeNames,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; left out: RECIPE-rationales.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers drawn for each input.")] = 8,
    temperature: Annotated[
        float, typer.Option(min=0.01, max=5.0, help="Of the draws; higher ones differ more.")
    ] = 0.7,
    shots: Annotated[int, typer.Option(min=0, help="Demonstrations before each input.")] = 4,
    limit: Annotated[int | None, typer.Option(min=1, help="Most rows of each task.")] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JUDGE", help="label, number, exact, normalised, command; FAMILY=JUDGE."
        ),
    ] = None,
    command: Annotated[
        str | None, typer.Option(help="Program of --judge command, as in `yofo rehearse`.")
    ] = None,
    gold: Annotated[bool, typer.Option(help="Keep the expected answers beside the own.")] = True,
    as_json: Json = False,
) -> int:
    """Let the base find ways to the right answers itself.

    Several are drawn for each training input; those that end right are kept, each way once: rows
    to train on (RFT), or demonstrations to show. One that was interrupted goes on when asked again.
    """
    from yofo_mlx.errors import RecipeError
    from yofo_mlx.rehearsal.settings import read_settings

    settings = read_settings(judge or [], command, shots=shots, limit=limit)
    if "model" in settings.judges.values():
        raise RecipeError("no model judges rationales", "--judge number, normalised or command")
    request = sound(recipes, overrides)
    from yofo_mlx.commands import rationales as verb

    return verb.rationales(
        request,
        settings,
        samples=samples,
        temperature=temperature,
        gold=gold,
        out=out,
        as_json=as_json,
    )
