"""Demonstrations from text that was pasted or read from a file: the form is found out and told."""

import csv
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.tasks import jsontext
from yofo_mlx.tasks.columns import choose_columns
from yofo_mlx.tasks.problems import Place, RowError
from yofo_mlx.tasks.rows import Row
from yofo_mlx.tasks.shapes import shape_of
from yofo_mlx.tasks.task import Example
from yofo_mlx.text import reason, shorten

SEPARATORS = ("\t", "=>", "->", "→")

_SURROGATE = re.compile("[\ud800-\udfff]")

# What stands before an input and before its answer; the first pair met rules the whole text.
_BLOCKS = (
    ("input", "output"),
    ("question|q", "answer|a"),
    ("text|sentence", "label|summary|output"),
    ("user", "assistant"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that became no demonstration, and why."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True)
class Parsed:
    """Demonstrations, what was left unread, and the form the text was taken for."""

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    format: str


class Unreadable(Exception):
    """A piece of text that is no demonstration."""


Piece = tuple[int, Example | str]
"""A line number with the demonstration that begins there, or with why there is none."""


def parse(text: str) -> Parsed:
    """Return the demonstrations in a text; every line that gave none is a problem."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        return Parsed((), (), "nothing")
    form, read = _choose(text)
    pieces = sorted(read(text), key=lambda piece: piece[0])
    pieces = pieces or [(1, f"{form}, but nothing in it")]
    return Parsed(
        tuple(found for _, found in pieces if isinstance(found, Example)),
        tuple(Problem(line, found) for line, found in pieces if isinstance(found, str)),
        form,
    )


def read_file(path: Path) -> Parsed:
    """Return the demonstrations in a text file."""
    try:
        return parse(path.expanduser().read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", "save it as UTF-8") from error
    except (OSError, ValueError, RuntimeError) as error:  # or a NUL, or the home of nobody
        words = getattr(error, "strerror", None) or reason(error)
        raise DataError(f"{shorten(str(path), 500)}: {words}", "check the path") from error


def _choose(text: str) -> tuple[str, Callable[[str], Iterator[Piece]]]:
    """Return the name of a text's form and its reader."""
    lines = [line for line in text.split("\n") if line.strip()]
    if _most(line.lstrip().startswith("{") for line in lines):
        return "JSON lines", _read_json_lines
    if _is_json_list(text):
        return "a JSON list", _read_json_list
    if pair := _block_names(text):
        return f"{pair[0]}: / {pair[1]}: blocks", lambda text: _read_blocks(text, pair)
    for delimiter, name in (("\t", "TSV"), (",", "CSV"), (";", "CSV with semicolons")):
        if _has_header(text, delimiter):
            return f"{name} with a header", lambda text, d=delimiter: _read_table(text, d)
    counts = [sum(separator in line for line in lines) for separator in SEPARATORS]
    separator = SEPARATORS[counts.index(max(counts))]
    if 2 * max(counts) >= len(lines):
        name = "tab" if separator == "\t" else f"`{separator}`"
        return f"lines with {name}", lambda text: _read_lines(text, separator)
    if _most(len(cells) == 2 for _, cells in _cells(text, ",")):
        return "CSV of two columns", lambda text: _read_pairs(text, ",")
    return "nothing", lambda text: _read_lines(text, "->")


def _most(hits: Iterator[bool]) -> bool:
    results = list(hits)
    return 2 * sum(results) > len(results)


def _is_json_list(text: str) -> bool:
    if not text.lstrip().startswith(("[", "{")):
        return False
    try:
        return bool(jsontext.lists(text))
    except jsontext.JsonError:
        return False


def _read_json_lines(text: str) -> Iterator[Piece]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, _from_json(jsontext.parse(line))
            except jsontext.JsonError as error:
                yield number, f"not JSON: {error.reason}"
            except Unreadable as error:
                yield number, str(error)


def _read_json_list(text: str) -> Iterator[Piece]:
    try:
        for number, value in jsontext.records(text, None):
            try:
                yield number, _from_json(value)
            except Unreadable as error:
                yield number, str(error)
    except jsontext.JsonError as error:
        yield error.line, error.reason


def _from_json(value: object) -> Example:
    if isinstance(value, list):
        value = {str(index): cell for index, cell in enumerate(value)}
    if not isinstance(value, dict):
        raise Unreadable("neither an object nor a list")
    return _from_fields(value)


def _from_fields(fields: dict[str, object]) -> Example:
    row = Row(Place("demonstrations"), fields)
    try:
        return choose_columns(row, None, None).item(row).example
    except RowError as error:
        raise Unreadable(error.message) from error


def _block_names(text: str) -> tuple[str, str] | None:
    """Return the first pair of names in use, as they are written."""
    found = []
    for given, wanted in _BLOCKS:
        first, answer = _mark(given).search(text), _mark(wanted).search(text)
        if first and answer and first.start() < answer.start():
            found.append((first.start(), (first[1], answer[1])))
    return min(found)[1] if found else None


def _mark(names: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t]*({names})[ \t]*:", re.IGNORECASE | re.MULTILINE)


def _read_blocks(text: str, pair: tuple[str, str]) -> Iterator[Piece]:
    """Read what follows each name up to the next; values may have many lines."""
    given, wanted = next(
        names for names in _BLOCKS if re.fullmatch(names[0], pair[0], re.IGNORECASE)
    )
    marks = list(_mark(f"{given}|{wanted}").finditer(text))
    for number, line in enumerate(text[: marks[0].start()].split("\n"), start=1):
        if line.strip():
            yield number, f"stands before the first `{pair[0]}:`"
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    question: tuple[int, str] | None = None
    number, seen = 1, 0
    for mark, end in zip(marks, ends, strict=True):
        number, seen = number + text.count("\n", seen, mark.start(1)), mark.start(1)
        value = text[mark.end() : end]
        is_input = re.fullmatch(given, mark[1], re.IGNORECASE) is not None
        if question is None and not is_input:
            yield number, f"an answer without `{pair[0]}:` before it"
        elif question is not None and is_input:
            yield question[0], f"no `{pair[1]}:` follows"
        elif question is not None:
            yield question[0], _example(question[1], value)
        question = (number, value) if is_input else None
    if question is not None:
        yield question[0], f"no `{pair[1]}:` follows"


def _has_header(text: str, delimiter: str) -> bool:
    _, names = next(_cells(text, delimiter), (0, []))
    return len(names) > 1 and shape_of(dict.fromkeys(map(str.lower, names))) is not None


def _read_table(text: str, delimiter: str) -> Iterator[Piece]:
    rows = _cells(text, delimiter)
    names = [name.lower() for name in next(rows)[1]]
    for number, cells in rows:
        if len(cells) != len(names):
            yield number, f"{len(cells)} cells, but the header has {len(names)}"
            continue
        try:
            yield number, _from_fields(dict(zip(names, cells, strict=True)))
        except Unreadable as error:
            yield number, str(error)


def _read_pairs(text: str, delimiter: str) -> Iterator[Piece]:
    for number, cells in _cells(text, delimiter):
        if len(cells) == 2:
            yield number, _example(*cells)
        else:
            yield number, f"{len(cells)} cells instead of 2"


def _cells(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table with the line that each begins on."""
    csv.field_size_limit(sys.maxsize)
    reader, number = csv.reader(io.StringIO(text), delimiter=delimiter), 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield number, [cell.strip() for cell in cells]
        number = reader.line_num + 1


def _read_lines(text: str, separator: str) -> Iterator[Piece]:
    for number, line in enumerate(text.split("\n"), start=1):
        # The last one: answers are short, inputs may hold anything.
        given, found, answer = line.rpartition(separator)
        if found:
            yield number, _example(given, answer)
        elif line.strip():
            name = "tab" if separator == "\t" else f"`{separator}`"
            yield number, f"no {name} between an input and an answer"


def _example(given: str, answer: str) -> Example | str:
    given, answer = given.strip(), answer.strip()
    if not given or not answer:
        return "the answer is empty" if given else "the input is empty"
    if _SURROGATE.search(given + answer):
        return "half of a character (a lone surrogate)"
    return Example(given, answer)
