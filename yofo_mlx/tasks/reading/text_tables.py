"""Tables of text: what separates their columns and what their quotes mean is found out.

Rows must never run together: a quote that opens in one row and closes in a later one makes one cell
of all between, and nothing but its look tells.
"""

import csv
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TextIO

from yofo_mlx.tasks.problems import Place, Problem, Severity, remark

Record = tuple[int, list[str]]
"""Cells with the line they start on."""

Quoting = Literal[0, 3]
"""`csv.QUOTE_MINIMAL` or `csv.QUOTE_NONE`."""

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAID = re.compile(r"\ufeff?\"?sep=([,;\t|])\"?\s*", re.IGNORECASE)
_HEAD = 20  # records that tell what separates columns
_QUOTED = re.compile(r'"(?:[^"]|"")*"', re.DOTALL)
_EDGE = '"0123456789'  # what a row begins and ends with whose texts are all quoted
_SHORT, _KNOWN = 60, 10_000  # characters of a label; labels that are kept


@dataclass
class Table:
    """Text that can be opened again and again, and how its cells are told apart."""

    open: Callable[[], TextIO]
    shown: str
    delimiter: str
    quoting: Quoting = csv.QUOTE_MINIMAL
    skipped: int = 0
    """Lines before the header, which only say what separates columns."""

    def lines(self, stream: TextIO) -> Iterator[str]:
        """Yield the lines of the table itself."""
        return islice(stream, self.skipped, None)

    def records(self, problems: list[Problem]) -> Iterator[Record]:
        """Yield the records of the table, the header first; those glued together are problems."""
        habits: _Habits | None = None
        with self.open() as stream:
            lines = _Kept(self.lines(stream))
            for line, cells in _strict(csv.reader(lines, **self._dialect), lines, self, problems):
                raw = [text for text in lines.taken if text.strip()]
                if len(raw) > 1:
                    habits = habits or self._habits()
                    glue = habits.glue(raw)
                    if glue:
                        place = Place(self.shown, line)
                        problems.append(_glued(place, line + len(lines.taken) - 1, glue))
                    if glue == "error":
                        continue
                yield line, cells

    @property
    def _dialect(self) -> dict[str, Any]:
        return {"delimiter": self.delimiter, "quoting": self.quoting, "strict": True}

    def rough(self, quoting: Quoting = csv.QUOTE_MINIMAL) -> Iterator[list[str]]:
        """Yield cells without a look at what is wrong with them."""
        with self.open() as stream:
            try:
                for cells in csv.reader(
                    self.lines(stream), delimiter=self.delimiter, quoting=quoting
                ):
                    if cells:
                        yield cells
            except csv.Error:
                return

    def _habits(self) -> "_Habits":
        """Return what rows of one line begin and end with, again and again."""
        firsts: Counter[str] = Counter()
        lasts: Counter[str] = Counter()
        header: list[str] = []
        for cells in self.rough():
            if not header:
                header = cells
            elif not any("\n" in cell or "\r" in cell for cell in cells):
                for counts, cell in ((firsts, cells[0]), (lasts, cells[-1])):
                    if cell and len(cell) <= _SHORT and (cell in counts or len(counts) < _KNOWN):
                        counts[cell] += 1
        named = next(_lines(self), (0, [""]))[1]
        return _Habits(
            self.delimiter,
            len(header),
            all(_QUOTED.fullmatch(name) for name in named),
            any(name.startswith(" ") for name in named[1:]),
            _repeated(firsts),
            _repeated(lasts),
        )


@dataclass(frozen=True)
class _Habits:
    """How the rows of a table look, from which those can be told that run together."""

    delimiter: str
    width: int
    quoted: bool
    """Whether every text is in quotes."""
    spaced: bool
    """Whether a blank follows a separator."""
    firsts: frozenset[str]
    lasts: frozenset[str]

    def glue(self, raw: Sequence[str]) -> Severity | None:
        """Tell whether the lines of one record are rows of their own (error) or may be (warning).

        Labels are the sign: a line inside a text does not end in the separator and a label.
        """
        whole = "".join(raw).strip()
        if self.quoted and whole[0] in _EDGE and whole[-1] in _EDGE:
            return None
        rows = [line.rstrip("\r\n").split(self.delimiter) for line in raw]
        if self.width < 2 or any(len(cells) == 1 for cells in (rows[0], rows[-1])):
            return None
        ends = [len(cells) > 1 and cells[-1] in self.lasts for cells in rows[:-1]]
        begins = [len(cells) > 1 and cells[0] in self.firsts for cells in rows[1:]]
        if 2 * max(sum(ends), sum(begins)) > len(ends):
            return "error"
        whole_lines = rows[1:-1] or rows
        return "warning" if any(ends + begins) or all(map(self._is_row, whole_lines)) else None

    def _is_row(self, cells: list[str]) -> bool:
        blank = not self.spaced and any(cell.startswith(" ") for cell in cells[1:])
        return len(cells) == self.width and not blank


@dataclass
class _Kept:
    """Lines of a stream; those taken since the last look are kept."""

    stream: Iterator[str]
    taken: list[str] = field(default_factory=list)

    def __iter__(self) -> "_Kept":
        return self

    def __next__(self) -> str:
        self.taken.append(next(self.stream))
        return self.taken[-1]


def look(open: Callable[[], TextIO], shown: str, usual: str, problems: list[Problem]) -> Table:
    """Return a table with what separates its columns and whether quotes quote, both told if odd."""
    csv.field_size_limit(sys.maxsize)  # one for the whole process; by default 128 KiB a cell
    with open() as stream:
        said = separator_in(stream.readline(16))
    mark = said or _delimiter(open, shown, usual)
    table = Table(open, shown, mark, skipped=1 if said else 0)
    if table.delimiter != usual:
        message = f"columns are separated by {_NAMES[table.delimiter]}, not by {_NAMES[usual]}"
        problems.append(remark(Place(shown, 1), message, "they are read so"))
    if table.delimiter == "\t":
        first = _first_text_quote(table)
        if first:
            table.quoting = csv.QUOTE_NONE
            message = "quotes are read as text, as usual between tabs"
            hint = "to quote cells, quote the names in the first line too"
            problems.append(remark(Place(shown, first), message, hint))
    return table


def separator_in(line: str) -> str:
    """Return what a first line such as `sep=;` says, which Excel writes and reads; else nothing."""
    found = _SAID.fullmatch(line)
    return found[1] if found else ""


def _delimiter(open: Callable[[], TextIO], shown: str, usual: str) -> str:
    """Return the separator that makes rows as wide as the header, the usual one if it can be."""
    possible = ""
    for mark in (usual, *(mark for mark in _NAMES if mark != usual)):
        quoting: Quoting = csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL
        widths = [len(cells) for cells in islice(Table(open, shown, mark).rough(quoting), _HEAD)]
        if widths and widths[0] > 1:
            if min(widths) == max(widths):
                return mark
            possible = possible or mark
    return possible or usual


def _first_text_quote(table: Table) -> int:
    """Return the line of the first quote that is part of a text; 0 if cells are quoted or plain."""
    width = first = 0
    even, lone, doubled, commas, bare = True, False, False, True, False
    for line, cells in _lines(table):
        if not width:
            width = len(cells)
            if all(_QUOTED.fullmatch(cell) for cell in cells):
                return 0
        even = even and len(cells) == width
        for cell in cells:
            if not cell.startswith('"'):
                bare = bare or "," in cell
                continue
            first = first or line
            lone = lone or not _QUOTED.fullmatch(cell)
            doubled = doubled or '""' in cell[1:-1]
            commas = commas and "," in cell
    if not first or (not even and _is_quoted(table, width)):
        return 0
    # Excel quotes what holds a quote or a comma, and nothing else.
    return 0 if even and not lone and (doubled or (commas and not bare)) else first


def _lines(table: Table) -> Iterator[Record]:
    """Yield lines that are not empty, cut at every separator."""
    with table.open() as stream:
        for number, line in enumerate(table.lines(stream), start=1 + table.skipped):
            if text := line.rstrip("\r\n"):
                yield number, text.split(table.delimiter)


def _is_quoted(table: Table, width: int) -> bool:
    """Tell whether quotes taken as quotes make a table of it, with nothing glued."""
    problems: list[Problem] = []
    same = all(len(cells) == width for _, cells in table.records(problems))
    return same and not problems


def _strict(reader: Any, lines: _Kept, table: Table, problems: list[Problem]) -> Iterator[Record]:
    """Yield each record; what is not CSV is a problem of the line it starts on."""
    while True:
        line = table.skipped + reader.line_num + 1
        lines.taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = "unexpected end of data" in str(error)
            message = "a quoted field never ends" if unclosed else f"not CSV: {error}"
            hint = 'a quote inside a quoted field is written twice: ""'
            place = Place(table.shown, line)
            problems.append(Problem(place, message, hint, ends_file=unclosed))
            continue
        if cells:
            yield line, cells


def _glued(place: Place, end: int, severity: Severity) -> Problem:
    what = "makes one row of several" if severity == "error" else "may make one row of several"
    message = f"a quote that opens here and closes on line {end} {what}"
    hint = 'close it, or write a quote that is part of a text twice: ""'
    return Problem(place, message, hint, severity, is_remark=severity == "warning")


def _repeated(counts: Counter[str]) -> frozenset[str]:
    return frozenset(value for value, count in counts.items() if count > 1)
