"""Options and arguments that several verbs share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from yofo_mlx.errors import RecipeError

if TYPE_CHECKING:
    from yofo_mlx.runs.recipe import RecipeRequest


def known_run(name: str | None) -> str | None:
    """Refuse the name of no run before what a verb needs is imported."""
    from yofo_mlx.runs import listing
    from yofo_mlx.system import launcher

    if name is not None and not launcher.is_follower():  # it asks rank 0
        listing.find(name)
    return name


def known_subject(name: str | None) -> str | None:
    """Refuse the name of neither a run nor a model before what a verb needs is imported."""
    from yofo_mlx.evaluation import subjects

    subjects.run_or_model(name)
    return name


Subject = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN|MODEL]", help="Run id, `last`, or a base model.", callback=known_subject
    ),
]


def sound(names: Sequence[str] | None, overrides: Sequence[str] | None) -> "RecipeRequest":
    """Return what is asked for; mistakes are refused before what a verb needs is imported."""
    from yofo_mlx.runs.recipe import RecipeRequest

    request = RecipeRequest(names or [], overrides or [])
    if request.names:
        request.load()
    return request


ShotNumbers = Annotated[
    str | None,
    typer.Option("--shots", metavar="N,N", help="Numbers of shots to measure at."),
]


def words(text: str | None, option: str) -> list[str]:
    """Return what commas join; nothing where the option is not given."""
    found = [word for part in (text or "").split(",") if (word := part.strip())]
    if text is not None and not found:
        raise RecipeError(f"{option} wants something named", "leave it out for all")
    return found


def shot_numbers(text: str | None) -> list[int]:
    """Return the numbers of shots that commas join."""
    found = words(text, "--shots")
    for word in found:
        if not (word.isascii() and word.isdigit()):
            raise RecipeError(f"--shots: '{word}' is no number of demonstrations", "--shots 0,4,16")
    return list(map(int, found))


Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a recipe key; repeatable."),
]
RecipeNames = Annotated[
    list[str],
    typer.Argument(
        metavar="RECIPE", help="File, or a shipped recipe's name; of several, later ones win."
    ),
]
Paths = Annotated[
    list[str], typer.Argument(metavar="PATH...", help="File, folder, hub id, recipe.")
]
Input = Annotated[str | None, typer.Option(help="Column or template of the input.")]
Output = Annotated[str | None, typer.Option(help="Column or template of the answer.")]
Records = Annotated[str | None, typer.Option(help="JSON: dotted path to the list of rows.")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of [[tasks]]; repeatable."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Train in the background.")]
Restarts = Annotated[
    int, typer.Option(min=0, metavar="N", help="Go on by itself after it died, N times at most.")
]
Force = Annotated[bool, typer.Option("--force", help="Also if it may not fit.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, however long it takes.")]
RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Run id, a part of it, or `last`.", callback=known_run),
]
