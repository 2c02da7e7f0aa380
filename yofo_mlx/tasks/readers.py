"""From a file to rows that know their place.

A row is what the file says, not yet an example. What cannot be read is added to a list of problems
and the reader goes on, so that one pass finds everything.
"""

import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from yofo_mlx.tasks import jsontext
from yofo_mlx.tasks.parquet import read_parquet
from yofo_mlx.tasks.problems import Place, Problem
from yofo_mlx.tasks.rows import Row, as_row

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")

# `surrogateescape` turns each undecodable byte into one of these, which valid UTF-8 never holds.
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class DataFile:
    """A file on disk, and the name it goes by in messages."""

    path: Path
    shown: str


def format_of(name: str) -> str | None:
    """Return the format a file name stands for (`.csv`, ...), or None."""
    lower = name.lower().removesuffix(".gz")
    suffix = next((known for known in FORMATS if lower.endswith(known)), None)
    return None if suffix == ".parquet" and name.lower().endswith(".gz") else suffix


def read_rows(file: DataFile, problems: list[Problem], records: str | None = None) -> Iterator[Row]:
    """Yield the rows of a file; `records` is the dotted path to them inside a JSON file."""
    suffix = format_of(file.path.name)
    readers: dict[str, Callable[[], Iterator[Row]]] = {
        ".jsonl": lambda: _read_jsonl(file, problems),
        ".ndjson": lambda: _read_jsonl(file, problems),
        ".json": lambda: _read_json(file, problems, records),
        ".csv": lambda: _read_csv(file, problems, ","),
        ".tsv": lambda: _read_csv(file, problems, "\t"),
        ".parquet": lambda: read_parquet(file.path, file.shown, problems),
    }
    if suffix is None:
        known = ", ".join(FORMATS)
        problems.append(
            Problem(Place(file.shown), "unknown kind of file", f"readable are {known}, text as .gz")
        )
        return
    if suffix != ".parquet" and _is_utf16(file, problems):
        return
    try:
        yield from readers[suffix]()
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        problems.append(Problem(Place(file.shown), f"cannot be read: {reason}", "check the file"))


def _read_jsonl(file: DataFile, problems: list[Problem]) -> Iterator[Row]:
    with _open(file.path, newline="\n") as stream:
        yield from _parse_lines(enumerate(stream, start=1), file.shown, problems)


def _parse_lines(
    lines: Iterator[tuple[int, str]], shown: str, problems: list[Problem]
) -> Iterator[Row]:
    for number, line in lines:
        if not line.strip():
            continue
        place = Place(shown, number)
        bad = _bad_byte(line, place) or _nul_line(line, place)
        if bad:
            problems.append(bad)
            continue
        try:
            value = jsontext.parse(line)
        except jsontext.JsonError as error:
            hint = "each line holds one JSON object"
            problems.append(Problem(place, f"not JSON: {error.reason}", hint))
            continue
        yield from as_row(value, place, problems)


def _read_json(file: DataFile, problems: list[Problem], records: str | None) -> Iterator[Row]:
    data = _bytes(file.path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(file.shown, data.count(b"\n", 0, error.start) + 1)
        problems.append(_not_utf8(place, data[error.start]))
        return
    if not text.strip():
        return
    if records is None and jsontext.is_lines(text):
        yield from _parse_lines(enumerate(text.split("\n"), start=1), file.shown, problems)
        return
    try:
        for line, value in jsontext.records(text, records):
            yield from as_row(value, Place(file.shown, line), problems)
    except jsontext.JsonError as error:
        place = Place(file.shown, error.line)
        if error.hint:
            problems.append(Problem(place, error.reason, error.hint))
        else:
            hint = "the file is one JSON value; name it .jsonl if each line is a row"
            problems.append(Problem(place, f"not JSON: {error.reason}", hint))


def _read_csv(file: DataFile, problems: list[Problem], delimiter: str) -> Iterator[Row]:
    # The limit is one for the whole process; its default refuses cells over 128 KiB.
    csv.field_size_limit(sys.maxsize)
    with _open(file.path, newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        for line, cells in _csv_records(reader, file.shown, problems):
            place = Place(file.shown, line)
            bad = next((found for cell in cells if (found := _bad_byte(cell, place))), None)
            if bad:
                problems.append(bad)
            elif header is None:
                header = [cell.strip() for cell in cells]
                wrong = _bad_header(header, place, delimiter)
                if wrong:
                    problems.append(wrong)
                    return
            elif len(cells) != len(header):
                problems.append(_wrong_width(place, len(cells), header))
            else:
                yield Row(place, dict(zip(header, cells, strict=True)))


def _csv_records(
    reader: Any, shown: str, problems: list[Problem]
) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it starts on."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = "unexpected end of data" in str(error)
            message = "a quoted field never ends" if unclosed else f"not CSV: {error}"
            hint = 'a quote inside a quoted field is written twice: ""'
            problems.append(Problem(Place(shown, line), message, hint))
            continue
        if cells:
            yield line, cells


def _bad_header(header: list[str], place: Place, delimiter: str) -> Problem | None:
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        what = f"two columns are named `{twice}`" if twice else "two columns have no name"
        return Problem(place, what, "the first line names the columns, each once")
    other = {",": ("\t", ";"), "\t": (",", ";")}[delimiter]
    if len(header) == 1 and any(mark in header[0] for mark in other):
        hint = "use commas in .csv files and tabs in .tsv files"
        return Problem(place, f"one column only: {header[0]!r}", hint)
    return None


def _wrong_width(place: Place, found: int, header: list[str]) -> Problem:
    message = f"{found} field{'s' * (found != 1)}, but the first line names {len(header)} columns"
    return Problem(place, message, "quote fields that hold the separator or a line break")


def _bad_byte(text: str, place: Place) -> Problem | None:
    found = None if text.isascii() else _BAD_BYTE.search(text)
    if not found:
        return None
    return _not_utf8(
        Place(place.path, place.number + text.count("\n", 0, found.start())),
        ord(found[0]) - 0xDC00,
    )


def _nul_line(line: str, place: Place) -> Problem | None:
    if line.strip("\x00 \t\r\n"):
        return None
    return Problem(place, "NUL bytes instead of a row", "the file was cut off while being written")


def _not_utf8(place: Place, byte: int) -> Problem:
    return Problem(
        place, f"not UTF-8 (byte 0x{byte:02x})", "convert it: iconv -f WINDOWS-1252 -t UTF-8 FILE"
    )


def _is_utf16(file: DataFile, problems: list[Problem]) -> bool:
    try:
        with _open_bytes(file.path) as stream:
            start = stream.read(2)
    except (OSError, EOFError, zlib.error):
        return False  # the reader itself meets and reports it
    if start in _UTF16:
        hint = "convert it: iconv -f UTF-16 -t UTF-8 FILE"
        problems.append(Problem(Place(file.shown, 1), "UTF-16, not UTF-8", hint))
    return start in _UTF16


def _open(path: Path, newline: str) -> TextIO:
    return io.TextIOWrapper(_open_bytes(path), "utf-8-sig", "surrogateescape", newline)


def _open_bytes(path: Path) -> Any:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _bytes(path: Path) -> bytes:
    with _open_bytes(path) as stream:
        data: bytes = stream.read()
    return data
