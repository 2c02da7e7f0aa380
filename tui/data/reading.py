"""The app's side of the process that reads data sets and counts their tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.preview.client import PreviewClient
from yofo_mlx.preview.facts import DataSet, from_facts, unread
from yofo_mlx.recipe.schema import TaskSource

from .measures import Measure, measure_from


@dataclass(frozen=True)
class Done:
    """A source was read."""

    index: int
    sets: list[DataSet]


@dataclass(frozen=True)
class Measured:
    """The sets of a source were measured, by their names; or why not."""

    index: int
    measures: dict[str, Measure | None]
    trouble: str = ""


@dataclass(frozen=True)
class Reading:
    """How far the reading of something is; a total of 0 is not known."""

    what: str
    done: int
    total: int


Heard = Done | Measured | Reading


def read(
    client: PreviewClient, sources: dict[int, TaskSource], tell: Callable[[Heard], None]
) -> None:
    """Read sources in their order; what ends the process is what is wrong with its source."""
    for index, source in sources.items():
        try:
            told = client.call("read", _teller(tell), source=facts_of(source))
        except Cancelled:
            return
        except YofoError as error:
            tell(Done(index, [unread(source, error.message, error.hint)]))
        else:
            tell(Done(index, [from_facts(facts) for facts in told["sets"]]))


def measure(
    client: PreviewClient,
    sources: dict[int, TaskSource],
    model: str,
    tell: Callable[[Heard], None],
) -> None:
    """Count the tokens of sources that were read; what cannot be counted is told once."""
    for index, source in sources.items():
        try:
            told = client.call("tokens", _teller(tell), source=facts_of(source), model=model)
        except Cancelled:
            return
        except YofoError as error:
            tell(Measured(index, {}, f"{error.message}; {error.hint}".removesuffix("; ")))
            return
        measures = {name: measure_from(facts) for name, facts in told["sets"].items()}
        tell(Measured(index, measures))


def facts_of(source: TaskSource) -> dict[str, Any]:
    """Return a source as JSON has it, as a person would have written it."""
    return source.model_dump(mode="json", exclude_unset=True)


def _teller(tell: Callable[[Heard], None]) -> Callable[[str, int, int], None]:
    return lambda what, done, total: tell(Reading(what, done, total))
