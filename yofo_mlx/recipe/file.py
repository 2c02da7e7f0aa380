"""Recipe files: TOML in, with every mistake named at once, and TOML out."""

import difflib
import json
import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.names import found_at, is_path
from yofo_mlx.recipe.schema import NOT_FIXED, Composition, Recipe
from yofo_mlx.system import paths
from yofo_mlx.system.text import escaped, shorten

Key = tuple[str | int, ...]
# The file that had the last word on a key, or on anything in a table; `--set` for what was set.
Place = Path | str
Origins = dict[Key, Place]

# What is said of a model; another one takes it back.
OF_THE_MODEL = ("revision", "trust_remote_code")
# Setting one of these takes back others that the recipe gave instead of it.
_PER_UPDATE = ("batch_size", "grad_accumulation_steps")
INSTEAD = {
    "train.steps": ("tokens",),
    "train.tokens": ("steps",),
    "train.batch_tokens": _PER_UPDATE,
    **{f"train.{key}": ("batch_tokens", "packed") for key in _PER_UPDATE},
    "episodes.fixed_shots": NOT_FIXED,
    **{f"episodes.{key}": ("fixed_shots",) for key in NOT_FIXED},
}
_MOST_MISTAKES = 12
# The checker's words, in those of somebody who writes TOML.
_PLAIN = {
    "Input should be": "must be",
    ", unable to parse string as an integer": "",
    ", unable to parse string as a number": "",
    "Unable to parse input string as an integer, exceeded maximum size": "has too many digits",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid array": "a list",
    "an object": "a table",
    "Tuple should have": "must have",
    "String should have": "must have",
    "Dictionary should have": "must have",
    " item after validation, not": " entry, not",
    " items after validation, not": " entries, not",
}


def find_recipe(name: str, start: Path = Path()) -> Path:
    """Return the path of a recipe file, given a path from `start` or a shipped recipe.

    A shipped one is called by its name, or as it lies in the repository: `recipes/tiny.toml`.
    """
    there = found_at(name, start)
    if there and there.is_file():
        return there
    path = Path(name)
    shipped = {path.stem: path for path in shipped_recipes()}
    if str(path) in shipped:
        return shipped[str(path)]
    if path.is_relative_to("recipes"):
        known = found_at(str(path.relative_to("recipes")), paths.shipped_recipes())
        if known and known.is_file():
            return known
    if there and there.is_dir():
        raise RecipeError(f"'{shorten(name, 200)}' is a folder, no recipe", "name a file in it")
    others = paths.shipped_recipes().glob("*.toml")
    called = {one.stem: str(one) for one in others} | {stem: stem for stem in shipped}
    close = difflib.get_close_matches(path.stem, called, n=1)
    guess = f"did you mean {called[close[0]]}? " if close else ""
    raise RecipeError(
        f"there is no recipe '{shorten(name, 200)}'",
        f"{guess}`yofo recipes list` shows the shipped ones, `yofo recipes copy` takes one over",
    )


def shipped_recipes() -> list[Path]:
    """Return the recipes that come with yofo: of those in a clone, the ones that work anywhere."""
    return [path for path in sorted(paths.shipped_recipes().glob("*.toml")) if not _is_local(path)]


@cache
def _is_local(path: Path) -> bool:
    """Tell whether a recipe's model lies beside it, where `make real-model` put it."""
    try:
        return is_path(str(read_toml(path).get("model", "")))
    except RecipeError:
        return False


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a recipe file holds, with or without a byte order mark."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "\0" not in text:  # there are some in UTF-16
            return tomllib.loads(text)
    except OSError as error:
        raise RecipeError(
            f"{path}: {error.strerror}", "check the path and its permissions"
        ) from error
    except UnicodeDecodeError:
        pass
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"{path} is not valid TOML: {shorten(str(error), 200)}", "mend the line it names"
        ) from error
    raise RecipeError(f"{path} is not UTF-8 text", "save it as UTF-8")


def apply_override(data: dict[str, Any], override: str) -> Key:
    """Set one dotted key, such as `optimizer.learning_rate=2e-4` or `tasks.0.limit=100`.

    An index one past the last adds an entry. Return what was set: the key, or what it added first.
    """
    key, found, text = override.partition("=")
    shown = f"--set '{shorten(override, 100)}'"
    if not found or not all(parts := key.strip().split(".")):
        raise RecipeError(
            f"{shown} is not of the form section.key=value",
            "for example --set optimizer.learning_rate=2e-4",
        )
    if key.endswith(" "):  # written as `key = value`
        text = text.removeprefix(" ")
    inner: Any = data
    path: Key = ()
    added: Key = ()
    for part in parts:
        table, step = inner, _step(inner, part, shown)
        path += (step,)
        is_list = isinstance(table, list)
        if step not in (range(len(table)) if is_list else table):
            added = added or path
            if is_list:
                table.append({})
            else:
                table[step] = {}
        inner = table[step]
    table[step] = value_of(text)
    for other in INSTEAD.get(".".join(parts), ()):
        table.pop(other, None)
    return added or path


def _step(table: Any, part: str, shown: str) -> str | int:
    """Return the key or index that a part of a dotted key is in a table or a list."""
    if isinstance(table, dict):
        return part
    if not isinstance(table, list):
        raise RecipeError(f"{shown}: the key is inside a plain value", "check the key")
    steps = {str(index): index for index in range(len(table) + 1)}
    if part in steps:
        return steps[part]
    raise RecipeError(
        f"{shown}: '{shorten(part, 40)}' is not one of the {len(table)} entries",
        f"count from 0; {len(table)} adds one",
    )


def value_of(text: str) -> Any:
    """Read a value as TOML; anything else is a bare string, as it was written."""
    try:
        found = tomllib.loads(f"value = {text.strip()}")
    except (ValueError, RecursionError):
        return text
    return found["value"] if found.keys() == {"value"} else text


def _day(value: object) -> str:
    """Return TOML's own kind of day as text."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value} is of a kind that no key has")


def validate(data: dict[str, Any], place: str, origins: Origins | None = None) -> Recipe:
    """Return the recipe in parsed TOML, or raise one error that lists every mistake.

    A mistake is one of the file that its key is from; what is missing is so in `place`.
    """
    try:
        return Recipe.model_validate_json(_json(data, place))
    except ValidationError as error:
        mistakes = [
            (str(_origin(detail["loc"], origins or {}, place)), _describe(detail))
            for detail in _causes(error.errors())
        ]
        hint = "`yofo recipes explain` lists every key with its meaning"
        raise RecipeError(_listed(mistakes), hint) from None


def mistakes(data: dict[str, Any]) -> list[tuple[Key, str]]:
    """Return what is wrong with parsed TOML: the keys, and in words what each should be."""
    try:
        Recipe.model_validate_json(_json(data, "recipe"))
    except ValidationError as error:
        return [(detail["loc"], _words(detail)) for detail in _causes(error.errors())]
    except RecipeError as error:
        return [((), error.message)]
    return []


def _json(data: dict[str, Any], place: str) -> bytes:
    """Return parsed TOML as JSON, since strict mode takes its lists for tuples."""
    try:
        return json.dumps(data, ensure_ascii=False, default=_day).encode()
    except UnicodeEncodeError:
        raise RecipeError(f"{place}: a value is not UTF-8 text", "write it in UTF-8") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(
            f"{place}: {error}", "recipes hold text, numbers, lists and days"
        ) from error


def _origin(key: Key, origins: Origins, place: str) -> Place:
    """Return where a key is from, or else the innermost table around it."""
    around = (key[:length] for length in range(len(key), 0, -1))
    return next((origins[one] for one in around if one in origins), place)


def _listed(mistakes: list[tuple[str, str]]) -> str:
    """Put mistakes, each with its place, in one line; a place that all have in common is first."""
    places = {place for place, _ in mistakes}
    words = [f"{place}: {what}" if len(places) > 1 else what for place, what in mistakes]
    lead = f"{places.pop()}: " if len(places) == 1 else ""
    count = f"{len(mistakes)} mistakes: " if len(mistakes) > 1 else ""
    more = "; ..." if len(mistakes) > _MOST_MISTAKES else ""
    return lead + count + "; ".join(words[:_MOST_MISTAKES]) + more


def _causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a list is too short where its entries are what is wrong."""
    inside = {detail["loc"][:1] for detail in details if len(detail["loc"]) > 1}
    return [d for d in details if d["type"] != "too_short" or d["loc"] not in inside]


def _describe(detail: ErrorDetails) -> str:
    place = ".".join(shorten(str(part), 60) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown key `{place}`{_guess(detail['loc'])}"
    words = _words(detail)
    if detail["type"] == "missing":
        return f"`{place}` {words}"
    return f"`{place}`: {words}" if place else words


def _words(detail: ErrorDetails) -> str:
    """Return what is wrong with a value, without its key."""
    if detail["type"] == "extra_forbidden":
        return f"unknown{_guess(detail['loc'])}"
    if detail["type"] == "missing":
        return "is missing"
    given = detail.get("input")
    shown = f" (it is {given!r})" if isinstance(given, str | int | float) else ""
    return plain(detail["msg"]) + (shown[:60] if detail["loc"] else "")


def plain(message: str) -> str:
    """Return what the checker says in plain words."""
    words = message.removeprefix("Value error, ")
    for said, meant in _PLAIN.items():
        words = words.replace(said, meant)
    return words


def _guess(location: Key) -> str:
    """Suggest a key that exists and looks like the unknown one, or that of another section."""
    section: Any = Recipe
    for part in location[:-1]:
        if isinstance(part, str):
            section = _section_type(section, part)
    name, known = str(location[-1]), list(getattr(section, "model_fields", {}))
    if name in Composition.model_fields:
        return ", it belongs at the top of a file, above the first table"
    if section is Recipe:
        known += Composition.model_fields

    def near(cutoff: float) -> str | None:
        return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)

    close = near(0.8) or close_key(name) or near(0.5)
    return f", did you mean `{close}`?" if close else f"; known here: {', '.join(known)}"


def close_key(name: str) -> str | None:
    """Return the key of a recipe's sections whose last part is, or looks like, a name."""
    sections = {key: _section_type(Recipe, key) for key in Recipe.model_fields}
    keys = {
        key: f"{section}.{key}"
        for section, model in sections.items()
        if section != "tasks"
        for key in getattr(model, "model_fields", {})
    }
    found = difflib.get_close_matches(name, keys, n=1, cutoff=0.8)
    return keys[found[0]] if found else None


def _section_type(section: type[BaseModel], name: str) -> Any:
    """Return the model class of a nested table or of a list of tables."""
    annotation: Any = section.model_fields[name].annotation
    arguments = getattr(annotation, "__args__", ())
    return arguments[0] if arguments else annotation


def to_toml(recipe: Recipe) -> str:
    """Write a recipe as TOML; defaults are spelled out, so that it stays what it was.

    What a terminal would obey is written as TOML's own escapes.
    """
    import tomlkit

    text = tomlkit.dumps(recipe.model_dump(mode="json", exclude_none=True))
    return escaped(text, keep="\n")
