"""JSON text whose records know their line.

The standard parser gives values without places; here it is asked for one record at a time, and the
lists and objects around the records are walked by hand.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from yofo_mlx.system.text import clip
from yofo_mlx.tasks.splits import candidates


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwinKeys(f"two values are named `{clip(twice, 80)}`")
    return found


class _TwinKeys(ValueError):
    """An object that names two of its values alike, of which Python would keep the last."""


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
_SPACE = re.compile(r"[ \t\r\n]*")


class JsonError(Exception):
    """Text that is not JSON, or not of the expected form."""

    def __init__(self, reason: str, line: int, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.hint = hint


def parse(text: str) -> Any:
    """Return the one value in `text`."""
    value, end = _value(text, _skip(text, 0))
    end = _skip(text, end)
    if end != len(text):
        column = end - text.rfind("\n", 0, end)
        raise JsonError(f"something follows the value at column {column}", _line(text, end))
    return value


def is_lines(text: str) -> bool:
    """Tell whether `text` is one JSON object a line rather than one value."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith("{") or not rest.strip():
        return False
    try:
        parse(first)
    except JsonError:
        return False
    return True


def records(text: str, path: str | None) -> Iterator[tuple[int, Any]]:
    """Yield line and value of every record in the list at the dotted `path`, or the only list."""
    whole = parse(text)  # the whole file is checked before the first record is believed
    steps = path.split(".") if path else _only_list(whole)
    if not isinstance(_at(whole, steps), list):
        raise _no_list(whole, path)
    del whole
    start = _skip(text, 0)
    for step in steps:
        start = next(place for key, place in _members(text, start) if key == step)
    line, seen = 1, 0
    for position, value in _elements(text, start):
        line += text.count("\n", seen, position)
        seen = position
        yield line, value


def lists(text: str) -> list[str]:
    """Return the dotted paths of all lists of rows in `text`; the outermost list is ``""``."""
    return [".".join(steps) for steps in _lists(parse(text))]


def ways_of_splits(known: Iterable[str]) -> Iterator[str]:
    """Yield the dotted paths, with `{split}` in them, to lists that are a split each."""
    for path in known:
        above, _, name = path.rpartition(".")
        if name in candidates("train"):
            yield f"{above}.{{split}}" if above else "{split}"


def _lists(value: Any, depth: int = 3) -> list[list[str]]:
    """Return the ways to lists that are empty or hold objects or lists."""
    if isinstance(value, list):
        return [[]] if not value or isinstance(value[0], dict | list) else []
    if not isinstance(value, dict) or not depth:
        return []
    return [[key, *steps] for key, item in value.items() for steps in _lists(item, depth - 1)]


def _only_list(whole: Any) -> list[str]:
    """Return the way to the one list that holds rows near the top, or else anywhere."""
    for depth in (1, 3):
        ways = _lists(whole, depth)
        filled = [steps for steps in ways if _at(whole, steps)]
        if filled or (depth == 3 and ways):
            found = filled or ways
            return found[0] if len(found) == 1 else []
    return []


def _at(value: Any, steps: list[str]) -> Any:
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _no_list(whole: Any, path: str | None) -> JsonError:
    ways = _lists(whole)
    found = [".".join(steps) for steps in ways]
    known = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
    if path:
        hint = f"lists in this file: {known or 'none'}"
        return JsonError(f"no list of rows at `{path}`", 1, hint)
    if not found:
        hint = 'expected is [{"input": ..., "output": ...}, ...]'
        return JsonError("no list of rows in this file", 1, hint)
    shown = next(ways_of_splits(found), found[0])
    return JsonError(f"several lists of rows: {known}", 1, f'name one, such as records = "{shown}"')


def _members(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield the keys of the object at `start` with the places of their values."""
    position = _skip(text, start + 1)
    while text[position] != "}":
        key, position = _value(text, position)
        position = _skip(text, _skip(text, position) + 1)
        yield key, position
        position = _skip(text, _value(text, position)[1])
        if text[position] == ",":
            position = _skip(text, position + 1)


def _elements(text: str, start: int) -> Iterator[tuple[int, Any]]:
    position = _skip(text, start + 1)
    while text[position] != "]":
        value, end = _value(text, position)
        yield position, value
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _value(text: str, position: int) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        reason = (
            f"{error.msg[0].lower()}{error.msg[1:].removesuffix(' at')} at column {error.colno}"
        )
        raise JsonError(reason, error.lineno) from None
    except RecursionError:
        raise JsonError("nested too deeply", _line(text, position)) from None
    except _TwinKeys as error:
        raise JsonError(str(error), _line(text, position), "name each of them once") from None
    except ValueError as error:  # such as a number of more than 4300 digits
        raise JsonError(str(error).split(";")[0], _line(text, position)) from None
    return value, end


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
