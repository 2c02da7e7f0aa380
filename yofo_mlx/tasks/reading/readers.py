"""From a file to rows that know their place.

A row is what the file says, not yet an example. What cannot be read is added to a list of problems
and the reader goes on, so that one pass finds everything.
"""

import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import TextIO

from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.problems import Place, Problem, remark
from yofo_mlx.tasks.reading import jsontext, sniff, text_tables
from yofo_mlx.tasks.reading.formats import FORMATS, DataFile, format_of
from yofo_mlx.tasks.reading.parquet import read_arrow, read_parquet
from yofo_mlx.tasks.reading.rows import Row, as_row

# `surrogateescape` turns each undecodable byte into one of these, which valid UTF-8 never holds.
_BAD_BYTE = re.compile("[\udc80-\udcff]")


def read_rows(file: DataFile, problems: list[Problem], records: str | None = None) -> Iterator[Row]:
    """Yield the rows of a file; `records` is the dotted path to them inside a JSON file."""
    suffix = format_of(file.path.name)
    readers: dict[str, Callable[[], Iterator[Row]]] = {
        ".jsonl": lambda: _read_jsonl(file, problems),
        ".ndjson": lambda: _read_jsonl(file, problems),
        ".json": lambda: _read_json(file, problems, records),
        ".csv": lambda: _read_table(file, problems, ","),
        ".tsv": lambda: _read_table(file, problems, "\t"),
        ".parquet": lambda: read_parquet(file.path, file.shown, problems),
        ".arrow": lambda: read_arrow(file.path, file.shown, problems),
    }
    if suffix is None:
        known = ", ".join(FORMATS)
        problems.append(
            Problem(Place(file.shown), "unknown kind of file", f"readable are {known}, text as .gz")
        )
        return
    try:
        if _is_what_it_says(file, suffix, problems):
            yield from readers[suffix]()
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        problems.append(
            Problem(
                Place(file.shown), f"cannot be read: {reason}", "check the file", ends_file=True
            )
        )


def _is_what_it_says(file: DataFile, suffix: str, problems: list[Problem]) -> bool:
    """Tell whether a file may be of this format; what it is instead is a problem."""
    with file.open() as stream:
        found = sniff.stranger(stream.read(sniff.ENOUGH), suffix)
    if found:
        problems.append(Problem(Place(file.shown), *found))
    elif file.pasted is None and file.is_packed() != file.path.name.lower().endswith(".gz"):
        what, end = ("", "end in .gz") if file.is_packed() else ("not ", "not end in .gz")
        hint = f"it is read all the same; the name should {end}"
        message = f"{what}compressed with gzip, which its name does not say"
        problems.append(remark(Place(file.shown), message, hint))
    return found is None


def _read_jsonl(file: DataFile, problems: list[Problem]) -> Iterator[Row]:
    with _open(file, newline=None) as stream:  # a line may end in \r alone, text never holds one
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
            reason, hint = f"not JSON: {error.reason}", "each line holds one JSON object"
            if error.hint:
                reason, hint = error.reason, error.hint
            problems.append(Problem(place, reason, hint))
            continue
        yield from as_row(value, place, problems)


def _read_json(file: DataFile, problems: list[Problem], records: str | None) -> Iterator[Row]:
    data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(file.shown, data.count(b"\n", 0, error.start) + 1)
        problems.append(_not_utf8(place, data[error.start]))
        return
    text = text.replace("\r\n", "\n").replace("\r", "\n")
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
        hint = error.hint or "the file is one JSON value; name it .jsonl if each line is a row"
        reason = error.reason if error.hint else f"not JSON: {error.reason}"
        problems.append(Problem(place, reason, hint, ends_file=True))


def _read_table(file: DataFile, problems: list[Problem], usual: str) -> Iterator[Row]:
    table = text_tables.look(lambda: _open(file, newline=""), file.shown, usual, problems)
    header: list[str] | None = None
    for line, cells in table.records(problems):
        place = Place(file.shown, line)
        bad = next((found for cell in cells if (found := _bad_byte(cell, place))), None)
        if bad:
            problems.append(bad)
        elif header is None:
            header = [cell.strip() for cell in cells]
            wrong = _bad_header(header, place)
            if wrong:
                problems.append(wrong)
                return
        elif len(cells) != len(header):
            problems.append(_wrong_width(place, len(cells), header))
        else:
            yield Row(place, dict(zip(header, cells, strict=True)))


def _bad_header(header: list[str], place: Place) -> Problem | None:
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is None:
        return None
    what = f"two columns are named `{twice}`" if twice else "two columns have no name"
    return Problem(place, what, "the first line names the columns, each once")


def _wrong_width(place: Place, found: int, header: list[str]) -> Problem:
    message = f"{plural(found, 'field')}, but the first line names {plural(len(header), 'column')}"
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


def _open(file: DataFile, newline: str | None) -> TextIO:
    return io.TextIOWrapper(file.open(), "utf-8-sig", "surrogateescape", newline)
