"""`yofo recipes`: list, copy, check, explain."""

import difflib
import itertools
import json
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from yofo_mlx.commands import data_request, draft, settings
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.recipe.compose import compose, standalone
from yofo_mlx.recipe.file import find_recipe, shipped_recipes, to_toml
from yofo_mlx.recipe.names import model_here
from yofo_mlx.recipe.reference import keys
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.recipe import RecipeRequest, resolve
from yofo_mlx.system import paths
from yofo_mlx.system.files import write_text
from yofo_mlx.system.talk import print_path, quoted, say, say_next


def show(*, as_json: bool = False) -> ExitCode:
    """List the shipped recipes."""
    rows = []
    for path in shipped_recipes():
        data = compose([path]).data
        rows.append({"name": path.stem, "model": data["model"], "description": data["description"]})
    if as_json:
        print(json.dumps(rows))
        return ExitCode.OK
    width = max((len(row["name"]) for row in rows), default=0) + 2
    for row in rows:
        print(f"{row['name']:<{width}}{row['description']}\n{'':<{width}}{row['model']}")
    if rows:
        say_next(f"recipes copy {rows[0]['name']}")
    return ExitCode.OK


def copy(name: str, target: Path | None) -> ExitCode:
    """Copy a shipped recipe, never over a file that exists."""
    source = find_recipe(Path(name).stem, paths.shipped_recipes())
    target = target or Path(source.name)
    target = target / source.name if target.is_dir() else target
    refuse_existing(target, "give another name to copy to")
    write(target, standalone(source))
    print_path(target)
    say_next(f"show {quoted(target)}")
    return ExitCode.OK


def new(
    request: DataRequest,
    *,
    out: Path | None = None,
    model: str | None = None,
    held_out: Sequence[str] = (),
    steps: int | None = None,
) -> ExitCode:
    """Write a recipe for data sets, never over a file that exists; `-` is standard output."""
    groups = list(data_request.read(request))
    for told in (group.told for group in groups if group.told):
        say(told)
    entries = draft.entries(groups, held_out)
    target = None if out == Path("-") else out or Path()
    if target:
        target = target / draft.file_name(entries) if target.is_dir() else target
        if target.suffix != ".toml":
            raise RecipeError(f"{target} is no name of a recipe", "end it in .toml")
        refuse_existing(target, f"another name: --out {quoted(_free(target))}")
    folder = target.parent if target else Path()
    if model is None:
        model = settings.usual_model()
        say(f"model: {model}; another: --model ID, --model FOLDER, --model tiny to try it out")
    shown = [one.example for entry in entries if not entry.held_out for one in entry.items("train")]
    sections, length = settings.choose(model_here(model), shown, steps)
    moved = [entry.beside(folder) for entry in entries]
    text = draft.text(moved, draft.beside(folder, model), sections, {"steps": length})
    resolve(tomllib.loads(text), str(target or "recipe"), folder)
    draft.tell(entries)
    say(f"{sections['train']['steps']:,} steps: {length}")
    return hand_over(text, target, "show")


def refuse_existing(path: Path, hint: str) -> None:
    """Refuse a name that is taken."""
    if os.path.lexists(path):
        raise RecipeError(f"{path} exists already", hint)


def hand_over(text: str, target: Path | None, following: str) -> ExitCode:
    """Write a new recipe and name the verb that comes next; without a target, print it."""
    if target is None:
        print(text, end="")
        return ExitCode.OK
    write(target, text)
    print_path(target)
    say_next(f"{following} {quoted(target)}")
    return ExitCode.OK


def write(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    try:
        write_text(path, text)
    except OSError as error:
        wrong = f"cannot write {path}: {error.strerror}"
        raise RecipeError(wrong, "choose another place") from error


def _free(path: Path) -> Path:
    """Return a name like this one that is not taken."""
    tries = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(one for one in tries if not os.path.lexists(one))


def check(request: RecipeRequest) -> ExitCode:
    """Validate a recipe and print it with every default spelled out."""
    print(to_toml(request.load()), end="")
    word = "is valid" if len(request.names) == 1 else "are valid together"
    say(f"{', '.join(map(str, request.paths))} {word}")
    say_next(f"show {request}")
    return ExitCode.OK


def explain(key: str | None, *, as_json: bool = False) -> ExitCode:
    """Print the keys of the recipe, or those below `key`, with defaults and meaning."""
    rows = keys()
    if key is not None:
        rows = _below(key, rows)
    if as_json:
        print(json.dumps(rows))
        return ExitCode.OK
    for row in rows:
        default = "" if row["default"] == "" else f" = {row['default']}"
        print(f"{row['key']}{default}  ({row['type']})\n    {row['help']}")
    return ExitCode.OK


def _below(key: str, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows of a key and of what is in it, by its name alone where no path is given."""
    plain = re.sub(r"\.\d+(?=\.|$)|\[\d*\]", "", key)  # as in --set tasks.0.limit=100
    found = [row for row in rows if f"{row['key']}.".startswith(f"{plain}.")]
    found += [row for row in rows if row["key"].endswith(f".{plain}")]
    if found:
        return found
    known = {name: row["key"] for row in rows for name in (row["key"].split(".")[-1], row["key"])}
    close = difflib.get_close_matches(plain, known, n=1)
    guess = f"did you mean {known[close[0]]}? " if close else ""
    sections = ", ".join(Recipe.model_fields)
    raise RecipeError(f"recipes have no key {key!r}", f"{guess}there are: {sections}")
