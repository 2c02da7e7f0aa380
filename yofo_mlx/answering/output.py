"""Rows with their answers as a file: CSV, TSV, JSON Lines or Parquet; whole or not at all."""

import csv
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from yofo_mlx.answering.queries import QueryFile
from yofo_mlx.errors import DataError, RecipeError, YofoError
from yofo_mlx.runs.events import finite
from yofo_mlx.system.files import replacing
from yofo_mlx.system.text import reason
from yofo_mlx.tasks.reading.formats import format_of

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_GROUP = 1024  # rows of a Parquet file that are written at once

Cells = dict[str, Any]


def check_name(out: Path) -> None:
    """Refuse a name that says no format which can be written."""
    if format_of(out.name) not in SUFFIXES:
        wrong = f"{out}: its name does not say which format it is to have"
        raise RecipeError(wrong, f"end it in {', '.join(SUFFIXES)}; text also in .gz")


def check_columns(table: QueryFile, names: Sequence[str]) -> None:
    """Refuse answers' columns that the file has already, in whatever letter case."""
    there = {name.strip().casefold(): name for name in table.kinds}
    twice = [there[name.casefold()] for name in names if name.casefold() in there]
    if twice:
        columns = ", ".join(f"`{name}`" for name in twice)
        wrong = f"{table.file.shown} has columns already that answers would go to: {columns}"
        raise RecipeError(wrong, "`--prefix NAME_` gives those of the answers another name")


def write(out: Path, table: QueryFile, rows: Iterable[Cells], more: Mapping[str, type]) -> None:
    """Write rows; `more` are the columns of the answers and what kind of value is in each."""
    suffix = format_of(out.name)
    with replacing(out) as temporary:
        if suffix == ".parquet":
            try:
                _write_parquet(temporary, table, iter(rows), more)
            except (ValueError, OverflowError) as error:  # such as half a character
                if isinstance(error, YofoError):
                    raise
                wrong = f"{out.name} cannot hold a row as Parquet: {reason(error)}"
                hint = f"name {out.name}.unfinished {out.stem}.jsonl.unfinished, and --resume so"
                raise DataError(wrong, hint) from error
        elif suffix in (".csv", ".tsv"):
            with _text(temporary, out) as file:
                _write_table(file, "\t" if suffix == ".tsv" else ",", [*table.kinds, *more], rows)
        else:
            with _text(temporary, out) as file:
                for row in rows:
                    file.write(f"{json.dumps(finite(row), ensure_ascii=False, default=str)}\n")


@contextmanager
def _text(path: Path, out: Path) -> Iterator[IO[str]]:
    packed = out.name.lower().endswith(".gz")
    opened = gzip.open if packed else open
    file = opened(path, "wt", encoding="utf-8", errors="backslashreplace", newline="")
    with cast(IO[str], file) as stream:
        yield stream


def _write_table(
    file: IO[str], delimiter: str, columns: Sequence[str], rows: Iterable[Cells]
) -> None:
    writer = csv.DictWriter(_Lines(file), columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows({str(name): _cell(value) for name, value in row.items()} for row in rows)


@dataclass(frozen=True)
class _Lines:
    """A file of lines that end in a line feed.

    The csv of Python 3.11 quotes a cell's carriage return only where lines end in one themselves.
    """

    file: IO[str]

    def write(self, line: str) -> int:
        """Write a line."""
        return self.file.write(line.removesuffix("\r\n") + "\n")


def _cell(value: Any) -> Any:
    """Return what stands in a table for a value: lists and objects as JSON, dates as they read."""
    if isinstance(value, bool | list | tuple | dict):
        return json.dumps(finite(value), ensure_ascii=False, default=str)
    return value


def _text_cell(value: Any) -> Any:
    """Return a value for a column of texts."""
    return None if value is None else str(_cell(value))


def _write_parquet(
    path: Path, table: QueryFile, rows: Iterator[Cells], more: Mapping[str, type]
) -> None:
    import pyarrow
    import pyarrow.parquet

    schema, mixed = _schema(table)
    as_text = mixed | {name for name, kind in more.items() if kind is str}
    for name, kind in more.items():
        schema = schema.append(pyarrow.field(name, _arrow_type({kind})))
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(rows, _GROUP)):
            for row in group:
                row |= {name: _text_cell(row[name]) for name in as_text & row.keys()}
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _schema(table: QueryFile) -> tuple[Any, set[str]]:
    """Return the columns of a Parquet file, and those of mixed values, which become JSON."""
    import pyarrow
    import pyarrow.parquet

    if table.file.path.suffix.lower() == ".parquet":
        return pyarrow.parquet.read_schema(table.file.path), set()
    types = {name: _arrow_type(kinds - {type(None)}) for name, kinds in table.kinds.items()}
    mixed = {name for name, kinds in table.kinds.items() if types[name] is None and kinds}
    text = pyarrow.string()
    fields = [pyarrow.field(name, kind or text) for name, kind in types.items()]
    return pyarrow.schema(fields), mixed


def _arrow_type(kinds: set[type]) -> Any:
    """Return the type of values, None where they are of several or have none of these."""
    import pyarrow

    if kinds == {int, float}:
        return pyarrow.float64()
    known = {str: "string", bool: "bool_", int: "int64", float: "float64"}
    only = next(iter(kinds)) if len(kinds) == 1 else None
    return getattr(pyarrow, known[only])() if only in known else None
