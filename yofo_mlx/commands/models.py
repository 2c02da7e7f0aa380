"""`yofo models`: what there is to choose from, and base models from files of other programs."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.recipe.names import is_file
from yofo_mlx.system.quantities import size
from yofo_mlx.system.talk import print_path, quoted, say, say_next
from yofo_mlx.system.text import json_line

if TYPE_CHECKING:
    from yofo_mlx.planning.shelf import Shelved

HEADS = ("model", "where", "size", "context", "trains up to", "recipe")


def import_model(file: Path, out: Path | None) -> ExitCode:
    """Write a GGUF file as a model directory, and print where that is."""
    if not is_file(str(file)):
        raise RecipeError(f"there is no file {file}", "give the path of a GGUF file")
    from yofo_mlx.models.gguf.directory import cached, import_gguf

    file = file.expanduser()
    if out is None:
        out = cached(file)
    else:
        import_gguf(file, out)
    print_path(out)
    say_next(f"chat --model {quoted(out)}")
    return ExitCode.OK


def show(*, as_json: bool = False) -> ExitCode:
    """List models on the disk, and those that shipped recipes are for."""
    from yofo_mlx.planning.shelf import curated, on_disk

    here = list(on_disk())
    names = {one.name for one in here}
    found = [*here, *(one for one in curated() if one.name not in names)]
    if as_json:
        print(json_line([_row(one) for one in found]))
        return ExitCode.OK
    show_table(HEADS, [_cells(one) for one in found], numbers=("size", "context", "trains up to"))
    for one in found:
        if one.why_not:
            say(f"{one.name}: {one.why_not}")
    say("trains up to: tokens of an episode, with a recipe's defaults, in this machine's memory")
    say_next("plan mistral")
    return ExitCode.OK


def _row(one: "Shelved") -> dict[str, object]:
    path = str(one.path) if one.path else None
    return asdict(one) | {"path": path, "fits": {str(k): v for k, v in one.fits.items()}}


def _cells(one: "Shelved") -> list[str]:
    longest = "-" if one.longest is None else f"{one.longest:,}" if one.longest else "no length"
    if one.longest and one.context and one.longest > one.context:
        longest = "all"
    context = f"{one.context:,}" if one.context else "-"
    return [one.name, one.where, size(one.nbytes), context, longest, one.recipe or "-"]
