"""The columns of a data set, and how its rows would read, before anything of it is taken."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import ValidationError

from yofo_mlx.errors import YofoError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import clip
from yofo_mlx.tasks.columns import Columns, Item, choose_columns
from yofo_mlx.tasks.families import guess_family
from yofo_mlx.tasks.problems import Problem, RowError
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.reading.parquet import class_names
from yofo_mlx.tasks.reading.readers import read_rows
from yofo_mlx.tasks.reading.rows import Row, kind
from yofo_mlx.tasks.sources import expand

LOOKED_AT = 5000  # rows; what they say of columns, more rows would not say better
_EXAMPLES = 6
_LONGEST = 600  # characters of an example's side
_FEW = 200  # different values that look like labels


def columns(source: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a source's first rows, which become what, and how they read.

    What cannot be read as the table says is told as `trouble` and `hint`, beside what could be.
    Where another reading works that nobody has ruled out, it is taken, and told as `keys`.
    """
    try:
        table = TaskSource(**source)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        return {"trouble": f"{where}: {wrong['msg']}", "hint": ""}
    first = _tried(table, {})
    if first.get("columns"):
        return first
    readings = (
        _tried(table.model_copy(update=keys), keys)
        for keys in locate.other_readings(table, Path.cwd())
    )
    return next((told for told in readings if told.get("examples")), first)


def _tried(source: TaskSource, keys: dict[str, Any]) -> dict[str, Any]:
    try:
        return _looked_at(source, keys)
    except YofoError as error:
        return {"trouble": error.message, "hint": error.hint}


def _looked_at(source: TaskSource, keys: dict[str, Any]) -> dict[str, Any]:
    source = next(iter(expand(source, Path.cwd())), source)
    found = locate.pieces(source, Path.cwd())
    pieces = [piece for of_split in found.pieces.values() for piece in of_split]
    problems: list[Problem] = []
    rows: list[Row] = []
    names = dict(found.class_names)
    for piece in pieces:
        names |= class_names(piece.file.path)
        rows += islice(read_rows(piece.file, problems, piece.records), LOOKED_AT - len(rows))
        if len(rows) == LOOKED_AT:
            break
    told: dict[str, Any] = {"keys": keys, "rows": len(rows), "is_all": len(rows) < LOOKED_AT}
    told["columns"] = list(_columns(rows))
    chosen, first = _chosen(source, rows, names)
    if chosen is None:
        wrong = first or (problems[0] if problems else None)
        trouble = (wrong.message, wrong.hint) if wrong else ("no rows in it", "")
        told["proposed"] = {} if source.input or source.output else _proposed(rows)
        return told | {"trouble": trouble[0], "hint": trouble[1]}
    items = list(_items(chosen, rows, problems))
    told |= {"input": chosen.input, "output": chosen.output, "good": len(items)}
    told["family"] = source.family or guess_family(items, labelled=source.labels is not None)
    told["examples"] = [
        (clip(one.example.input, _LONGEST), clip(one.example.output, _LONGEST))
        for one in _different(items)
    ]
    told["problems"] = [(str(one.place), one.message) for one in problems[:20]]
    told["bad"] = len(rows) - len(items)
    return told


def _columns(rows: list[Row]) -> Iterator[tuple[str, str]]:
    """Yield every column with what is in it."""
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.fields.items():
            values.setdefault(name, []).append(value)
    for name, found in values.items():
        yield clip(name, 200), _about(found)


def _proposed(rows: list[Row]) -> dict[str, str]:
    """Propose the column of the longest texts as input, that of the fewest values as output."""
    texts: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row.fields.items():
            if isinstance(value, str):
                texts.setdefault(name, []).append(value)
    different = {name: len(set(found)) for name, found in texts.items()}
    telling = [name for name, count in different.items() if count > 1]
    if len(telling) < 2:
        return {}
    longest = max(telling, key=lambda name: sum(map(len, texts[name])) / len(texts[name]))
    others = [name for name in telling if name != longest]
    return {"input": longest, "output": min(others, key=lambda name: different[name])}


def _about(values: list[Any]) -> str:
    kinds = Counter(kind(value) for value in values)
    usual = kinds.most_common(1)[0][0]
    if usual != "text":
        return usual if len(kinds) == 1 else f"{usual}, or other things"
    texts = [value for value in values if isinstance(value, str)]
    different = len(set(texts))
    if different == 1:
        return f"1 value: {clip(texts[0], 30) or '(empty)'}"
    if different <= min(_FEW, len(texts) // 2):
        return f"{plural(different, 'value')}"
    words = round(median(len(text.split()) for text in texts))
    alike = "all different" if different == len(texts) else f"{different:,} different"
    return f"text, median {plural(words, 'word')}, {alike}"


def _chosen(
    source: TaskSource, rows: list[Row], names: dict[str, tuple[str, ...]]
) -> tuple[Columns | None, RowError | None]:
    """Return what becomes input and answer, by the first row that shows it, or why none does."""
    first: RowError | None = None
    for row in rows:
        try:
            chosen = choose_columns(
                row,
                source.input,
                source.output,
                source.separator,
                source.labels or (),
                names,
                source.family,
            )
            chosen.item(row)
            return chosen, None
        except RowError as error:
            first = first or error
    return None, first


def _items(chosen: Columns, rows: list[Row], problems: list[Problem]) -> Iterator[Item]:
    for row in rows:
        try:
            yield chosen.item(row)
        except RowError as error:
            problems.append(error.at(row.place))


def _different(items: list[Item]) -> list[Item]:
    """Return a few examples, of each answer the first one before others."""
    firsts = {id(item) for item in {one.example.output: one for one in reversed(items)}.values()}
    return sorted(items, key=lambda item: id(item) not in firsts)[:_EXAMPLES]
