"""JSON answers compared field by field."""

import json
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from yofo_mlx.evaluation.rouge import f1_of

Pair = tuple[tuple[str, ...], object]  # the way to a value, and the value

_FENCE = re.compile(r"```(?:json)?[^\S\n]*\n", re.IGNORECASE)


def fields_f1(answer: str, expected: str) -> float:
    """Return F1 over the pairs of field and value; 0 for an answer that is no JSON.

    An expected answer that is none is compared letter for letter.
    """
    wanted = pairs_in(expected)
    if wanted is None:
        return float(answer.strip() == expected.strip())
    found = pairs_in(answer)
    return 0.0 if found is None else f1_of(len(found & wanted), len(found), len(wanted))


def pairs_in(text: str) -> set[Pair] | None:
    """Return the fields of a JSON object or list with their values; None if the text is none.

    Fields of fields are told apart by their whole way. Texts are compared with letter case and
    spaces aside, numbers by value, lists as sets; null, "", [] and {} say as much as no field.
    """
    try:
        value = json.loads(_unfenced(text.strip()))
        return set(_pairs(value, ())) if isinstance(value, dict | list) else None
    except (ValueError, RecursionError):
        return None


def _unfenced(text: str) -> str:
    """Return what is in a fenced block of Markdown, if a text is one; in linear time."""
    opening, last = _FENCE.match(text), text.rpartition("\n")[2]
    return text[opening.end() : -3] if opening and last.strip() == "```" else text


def _pairs(value: Any, way: tuple[str, ...]) -> Iterator[Pair]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _pairs(inner, (*way, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner, way)
    elif value is not None and (plain := _plain(value)) != "":
        yield way, plain


def _plain(value: str | bool | int | float) -> object:
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, bool) or not math.isfinite(value):
        return (repr(value),)  # apart from 1, 0 and texts; NaN equals itself
    return Fraction(value)
