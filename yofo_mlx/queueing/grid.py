"""Several recipes and values as the requests of single runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random
from typing import TypeVar

from yofo_mlx.errors import RecipeError
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.text import shorten

MOST = 200

One = TypeVar("One")


@dataclass(frozen=True)
class Cell:
    """A run that is asked for, and the values that tell it from its neighbours."""

    request: RecipeRequest
    values: dict[str, str]

    @property
    def name(self) -> str:
        """Return what the run is called: `tiny rank 8`."""
        words = [f"{key.rpartition('.')[2]} {value}" for key, value in self.values.items()]
        return " ".join([self.request.run_name, *words])


def requests(
    recipes: Sequence[str],
    upon: Sequence[str],
    overrides: Sequence[str],
    grid: Sequence[str],
    sample: int | None = None,
) -> list[Cell]:
    """Return a run for each recipe and combination of values, all of them validated.

    `sample`: of each recipe only so many combinations, the same ones each time; the recipe's own
    values are among them only by chance.
    """
    if not recipes and (upon or overrides or grid):
        raise RecipeError("--with, --set and --grid are for recipes", "name one, such as tiny")
    axes = dict(map(_axis, grid))
    if len(axes) < len(grid):
        raise RecipeError("--grid names a key twice", "give all its values at once: KEY=A,B")
    if sample and not axes:
        raise RecipeError("--sample draws from a grid", "give one: --grid KEY=A,B")
    every = prod(map(len, axes.values()))
    if (count := len(recipes) * min(every, sample or every)) > MOST:
        raise RecipeError(
            f"that would be {count:,} runs",
            f"queue at most {MOST} at a time: --sample N draws some",
        )
    cells = []
    for recipe, chosen in product(recipes, combinations(axes, sample)):
        words = [*overrides, *(f"{key}={value}" for key, value in chosen.items())]
        cells.append(Cell(RecipeRequest([recipe, *upon], words), chosen))
    for cell in cells:
        _validate(cell)
    return cells


def combinations(
    axes: Mapping[str, Sequence[One]], sample: int | None = None
) -> list[dict[str, One]]:
    """Return a value of each axis in every combination; `sample`: so many, the same each time."""
    every = prod(map(len, axes.values()))
    numbers = Random(0).sample(range(every), sample) if sample and sample < every else range(every)
    return [_combination(axes, number) for number in sorted(numbers)]


def _combination(axes: Mapping[str, Sequence[One]], number: int) -> dict[str, One]:
    """Return the combination of this number; the last axis changes fastest."""
    chosen = {}
    for key, values in reversed([*axes.items()]):
        number, place = divmod(number, len(values))
        chosen[key] = values[place]
    return dict(reversed(chosen.items()))


def _validate(cell: Cell) -> None:
    """Refuse a value in the words of the option that it was given by."""
    try:
        cell.request.load()
    except RecipeError as error:
        fixed = len(cell.request.overrides) - len(cell.values)
        RecipeRequest(cell.request.names, cell.request.overrides[:fixed]).load()
        raise RecipeError(error.message.replace("--set", "--grid"), error.hint) from error


def _axis(text: str) -> tuple[str, list[str]]:
    """Read `key=a,b`; a comma inside brackets or quotes belongs to a value."""
    key, found, rest = text.partition("=")
    values = _split(rest)
    if not (key.strip() and found and all(values)):
        raise RecipeError(
            f"--grid '{shorten(text, 100)}' is not of the form section.key=value,value",
            "for example --grid optimizer.learning_rate=1e-4,3e-4",
        )
    if len(set(values)) < len(values):
        raise RecipeError(f"--grid '{shorten(text, 100)}' has a value twice", "leave one out")
    return key.strip(), values


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
