"""Rows chosen by the values of their columns, before they become examples."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from yofo_mlx.recipe.condition import Condition, Value
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.fields import Missing, is_absent, look_up, name_in
from yofo_mlx.tasks.problems import RowError
from yofo_mlx.tasks.reading.parquet import ClassNames
from yofo_mlx.tasks.spelling import text_key

_SHOWN = 12


@dataclass
class Selection:
    """The `where` of a source, and how many rows it has taken."""

    where: Mapping[str, Condition]
    seen: int = 0
    kept: int = 0
    known: list[str] = field(default_factory=list)
    met: dict[str, set[str]] = field(default_factory=dict)
    """Values met, by the columns of `where` that were met at all."""

    named: dict[str, set[Value]] = field(default_factory=dict)
    """Values of `where` itself that were met."""

    def takes(self, fields: dict[str, Any], names: ClassNames) -> bool:
        """Tell whether a row fits, and count it."""
        self.seen += 1
        fits = [self._fits(fields, column, names) for column in self.where]
        self.kept += all(fits)
        return all(fits)

    def _fits(self, fields: dict[str, Any], column: str, names: ClassNames) -> bool:
        values = list(self._values(fields, column))
        classes = names.get(name_in(names, column) or column, ())
        texts = [_texts(value, classes) for value in values]
        met = self.met.get(column)
        if met is not None and len(met) <= _SHOWN:
            met.update(shorten(text[-1], 40) for text in texts)
        condition = self.where[column]
        named = {
            one
            for one in (*(condition.one_of or ()), *(condition.not_in or ()))
            if any(_equal(*pair, one, classes) for pair in zip(values, texts, strict=True))
        }
        self.named.setdefault(column, set()).update(named)
        if condition.one_of is not None and named.isdisjoint(condition.one_of):
            return False
        if condition.not_in is not None and not named.isdisjoint(condition.not_in):
            return False
        expression = condition.matches
        return expression is None or any(
            re.search(expression, text) for several in texts for text in several
        )

    def _values(self, fields: dict[str, Any], column: str) -> Iterator[Any]:
        """Yield what a column holds: the entries of a list, nothing where there is nothing."""
        try:
            value = look_up(fields, column)
        except Missing:
            self.known = self.known or list(fields)
            return
        except RowError:
            self.met.setdefault(column, set())
            return
        self.met.setdefault(column, set())
        for entry in value if isinstance(value, list) else [value]:
            if not is_absent(entry):
                yield entry

    def mistake(self) -> RowError | None:
        """Return what is wrong if a column is in no row, or no row fits."""
        unknown = [column for column in self.where if column not in self.met]
        if unknown and self.seen:
            missing = Missing(unknown, self.known)
            return RowError(f"`where`: {missing.message}", missing.hint)
        if self.kept or not self.seen:
            return None
        held = "; ".join(
            f"`{column}` holds {', '.join(map(repr, sorted(met)[:_SHOWN]))}"
            for column, met in self.met.items()
        )
        return RowError(f"none of {self.seen:,} rows fits `where`", held)

    def idle(self) -> str:
        """Return what `where` names and no row holds; nothing if there is no such value."""
        idle = [
            f"`{column}` {value!r}"
            for column, condition in self.where.items()
            for value in (*(condition.one_of or ()), *(condition.not_in or ()))
            if value not in self.named.get(column, set())
        ]
        return f"`where` names what no row holds: {', '.join(idle)}" if idle else ""

    def __str__(self) -> str:
        return f"{self.kept:,} of {self.seen:,} rows fit `where`"


def _texts(value: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return how a value may be written: as it is, and by the name of its class."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    plain = value if isinstance(value, str) else str(value)
    number = int(plain) if plain.isascii() and plain.isdigit() and len(plain) < 9 else len(names)
    return (plain, names[number]) if number < len(names) else (plain,)


def _equal(value: Any, texts: tuple[str, ...], wanted: Value, names: tuple[str, ...]) -> bool:
    """Compare as the recipe writes it; in CSV, numbers and truth are text."""
    if isinstance(wanted, bool):
        return texts[0].lower() == ("true" if wanted else "false")
    if isinstance(wanted, str):
        texts = texts[-1:] if wanted in names else texts  # a name may look like another's number
        return wanted in texts or _key(wanted) in map(_key, texts)
    try:
        return not isinstance(value, bool) and float(value) == wanted
    except (TypeError, ValueError, OverflowError):
        return False


@lru_cache(maxsize=4096)
def _key(text: str) -> str:
    return text_key(text)
