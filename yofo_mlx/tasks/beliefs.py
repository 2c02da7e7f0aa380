"""What a model makes of a row's answer, as a column of the data says it."""

import math
from typing import Any

from yofo_mlx.tasks.fields import Missing, is_blank, name_in, number_in
from yofo_mlx.tasks.problems import RowError
from yofo_mlx.tasks.task import Teacher


def read_doubt(fields: dict[str, Any], name: str) -> float:
    """Return how unsure it is, a number from 0 on; 0 where a row does not say."""
    value = _told(fields, name)
    doubt = 0.0 if value is None else number_in(value)
    if doubt is None or not 0 <= doubt < math.inf:
        raise RowError(f"`{name}` is no number from 0 on", "0 is of what is certain")
    return doubt


def read_teacher(fields: dict[str, Any], name: str) -> Teacher | None:
    """Return what it expects at each token, as [token, share] pairs; None where a row has none."""
    value = _told(fields, name)
    if value is None:
        return None
    try:
        found = tuple(tuple((int(a), float(b)) for a, b in place) for place in value)
    except (TypeError, ValueError):
        found = ()
    sound = all(place and all(a >= 0 and 0 <= b <= 1 for a, b in place) for place in found)
    if not found or not sound or len({len(place) for place in found}) > 1:
        hint = "take the file as `yofo rehearse RECIPE --distill 8` wrote it"
        raise RowError(f"`{name}` holds no lists of [token, share] pairs, as many a place", hint)
    return found


def _told(fields: dict[str, Any], name: str) -> Any:
    """Return what a column holds, None if nothing; it has to be there."""
    there = name_in(fields, name)
    if there is None:
        raise Missing([name], list(fields))
    return None if is_blank(fields[there]) else fields[there]
