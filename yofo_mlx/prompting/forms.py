"""Pairs in plain text: lines with an arrow, named blocks, a table of two columns without names."""

import io
import re
from collections import Counter
from collections.abc import Iterator

from yofo_mlx.tasks.problems import Problem
from yofo_mlx.tasks.reading import text_tables
from yofo_mlx.tasks.row_forms import COLUMN_NAMES
from yofo_mlx.tasks.spelling import name_key
from yofo_mlx.tasks.task import Example

SEPARATORS = ("\t", "=>", "->", "→")

Piece = tuple[int, Example | str]
"""A line number with the demonstration that begins there, or with why there is none."""

_HEADER = (
    "taken as the names of the columns, no demonstration: if it is one, put the names input and"
    " output above it"
)
_ENOUGH = 3  # rows that show what an unknown header is unlike
_WORD = re.compile(r"\w[\w-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")

# What stands before an input and before its answer; the first pair met rules the whole text.
_BLOCKS = (
    ("input", "output"),
    ("question|q", "answer|a"),
    ("text|sentence", "label|summary|output"),
    ("user", "assistant"),
)


def block_names(text: str) -> tuple[str, str] | None:
    """Return the first pair of names in use, as they are written."""
    found = []
    for given, wanted in _BLOCKS:
        first, answer = _mark(given).search(text), _mark(wanted).search(text)
        if first and answer and first.start() < answer.start():
            found.append((first.start(), (first[1], answer[1])))
    return min(found)[1] if found else None


def _mark(names: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t]*({names})[ \t]*:", re.IGNORECASE | re.MULTILINE)


def read_blocks(text: str, pair: tuple[str, str]) -> Iterator[Piece]:
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


def table(text: str, problems: list[Problem]) -> text_tables.Table:
    """Return pasted text as a table."""
    return text_tables.look(lambda: io.StringIO(text, newline=""), "", ",", problems)


def read_pairs(text: str) -> Iterator[Piece]:
    """Read rows of two cells."""
    problems: list[Problem] = []
    records = list(table(text, problems).records(problems))
    has_header = _is_header([cells for _, cells in records])
    for at, (number, cells) in enumerate(records):
        if at == 0 and has_header:
            yield number, _HEADER
        elif len(cells) == 2:
            yield number, _example(*cells)
        elif any(cell.strip() for cell in cells):
            yield number, f"{len(cells)} cells instead of 2"
    for problem in problems:
        if not problem.is_remark:
            yield problem.line, problem.message


def read_lines(text: str, separator: str) -> Iterator[Piece]:
    """Read a pair a line."""
    lines = text.split("\n")
    has_header = separator == "\t" and _is_header([line.split(separator) for line in lines])
    for number, line in enumerate(lines, start=1):
        # The last one: answers are short, inputs may hold anything.
        given, found, answer = line.rpartition(separator)
        if number == 1 and has_header:
            yield number, _HEADER
        elif found:
            yield number, _example(given, answer)
        elif line.strip():
            name = "tab" if separator == "\t" else f"`{separator}`"
            yield number, f"no {name} between an input and an answer"


def _is_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row names columns: in a word each, unlike all rows below.

    One is a name that tables often have, and no other row has it there; or inputs have more words
    than one below it, and answers do, too, or each of them comes again, but not what stands above.
    """
    first, others = (rows[0], rows[1:]) if rows else ([], [])
    if len(first) < 2 or not all(_WORD.fullmatch(cell.strip()) for cell in first):
        return False
    usual = [at for at, cell in enumerate(first) if name_key(cell) in COLUMN_NAMES]
    if any(all(first[at] not in row[at : at + 1] for row in others) for at in usual):
        return True
    pairs = [(row[0].strip(), row[-1].strip()) for row in others if any(map(str.strip, row))]
    if len(first) != 2 or len(pairs) < _ENOUGH or any(len(x.split()) < 2 for x, _ in pairs):
        return False
    answers = Counter(answer for _, answer in pairs)
    come_again = min(answers.values()) > 1 and first[-1].strip() not in answers
    return come_again or all(len(answer.split()) > 1 for answer in answers)


def _example(given: str, answer: str) -> Example | str:
    given, answer = given.strip(), answer.strip()
    if not given or not answer:
        return "the answer is empty" if given else "the input is empty"
    if _SURROGATE.search(given + answer):
        return "half of a character (a lone surrogate)"
    return Example(given, answer)
