"""Which rows of a data set are taken, as a recipe writes it."""

import re
from typing import Any, Self

from pydantic import model_validator

from yofo_mlx.recipe.section import Section

Value = str | bool | int | float


class Condition(Section):
    """Which values of a column a row must have; a list-valued column must hold one of them."""

    one_of: tuple[Value, ...] | None = None
    """Values to take."""
    not_in: tuple[Value, ...] | None = None
    """Values to leave out."""
    matches: str | None = None
    """Regular expression that is found in the value; `^` and `$` make it the whole."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        """Take `"x"` and `["x", "y"]` for `{one_of = ["x", "y"]}`."""
        table = dict(given) if isinstance(given, dict) else {"one_of": given}
        if "in" in table:
            table["one_of"] = table.pop("in")
        for name in table.keys() - cls.model_fields.keys():
            known = "known here: in, not_in, matches; a dotted path is one key in quotes"
            raise ValueError(f"unknown key `{name}`; {known}")
        for name in ("one_of", "not_in"):
            if table.get(name) is not None:
                table[name] = _values(table[name])
        if all(value is None for value in table.values()):
            raise ValueError("give a value, a list of them, `not_in` or `matches`")
        return table

    @model_validator(mode="after")
    def _expression(self) -> Self:
        try:
            re.compile(self.matches or "")
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"`matches` is no regular expression: {error}") from None
        return self


def _values(given: Any) -> tuple[Any, ...]:
    several = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not several or not all(isinstance(value, str | int | float) for value in several):
        raise ValueError("give a text, a number or true/false, or a list of them")
    return several
