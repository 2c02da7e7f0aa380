"""Tables of text: their separators and quotes are found out, and rows never run together."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.tasks.problems import Problem
from yofo_mlx.tasks.reading.formats import DataFile
from yofo_mlx.tasks.reading.readers import read_rows

LINES = ["We leave at dawn.", "The crew, all of it, was silent.", "Take the boat.", "A gull cried."]


def read(name: str, content: str | bytes) -> tuple[list[list[Any]], list[Problem]]:
    data = content.encode() if isinstance(content, str) else content
    problems: list[Problem] = []
    found = read_rows(DataFile(Path(name), name, data), problems)
    return [list(row.fields.values()) for row in found], problems


def wrong(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_what_separates_columns_is_found_in_the_table(name: str, mark: str) -> None:
    rows = [["text", "label"], ["one; two", "x"], ["3 | 4", "y"], ["5, 6", "x"], ["7", "y"]]
    sink = io.StringIO(newline="")
    csv.writer(sink, delimiter=mark, quoting=csv.QUOTE_ALL).writerows(rows)
    found, problems = read(name, sink.getvalue())
    assert found == rows[1:]
    usual = {"a.csv": ",", "a.tsv": "\t"}[name]
    assert [problem.is_remark for problem in problems] == [True] * (mark != usual)


def test_a_european_table_may_hold_commas() -> None:
    found, problems = read("a.csv", "text;preis, netto\nbrot;1,20\nmilch, frisch;0,90\n")
    assert found == [["brot", "1,20"], ["milch, frisch", "0,90"]]
    assert "semicolons" in problems[0].message and not wrong(problems)


def glued(label_first: bool, opens: int, closes: int, mark: str = ",") -> str:
    """Return a table in which one text opens a quote and a later one closes it."""
    lines = [f"text{mark}label"] if not label_first else [f"label{mark}text"]
    for number in range(12):
        text = f"sentence {number}"
        text = f'"{text}' if number == opens else f'{text}"' if number == closes else text
        cells = (text, f"kind{number % 3}")
        lines.append(mark.join(reversed(cells) if label_first else cells))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("label_first", [False, True])
@pytest.mark.parametrize("opens", [0, 3, 8])
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("mark", [",", ";"])
def test_rows_between_two_lone_quotes_are_never_one_row(
    label_first: bool, opens: int, length: int, mark: str
) -> None:
    found, problems = read("a.csv", glued(label_first, opens, opens + length, mark))
    [problem] = wrong(problems)
    assert problem.line == opens + 2 and f"line {opens + length + 2}" in problem.message
    assert len(found) == 12 - length - 1


def test_glued_rows_are_seen_though_their_texts_hold_commas() -> None:
    text = (
        'text,label\nHo.,x\nHa.,y\nHi.,x\nHu.,y\n"We go, he said.,x\nThey came, too.,y\nBye.",x\n'
    )
    found, problems = read("a.csv", text)
    assert len(found) == 4 and [problem.line for problem in wrong(problems)] == [6]


def test_one_odd_row_hides_no_glue() -> None:
    lines = [f"sentence {n},kind{n % 3}" for n in range(30)]
    lines[4], lines[11], lines[20] = '"Ho,kind1', "odd one,once", 'Hi.",kind2'
    found, problems = read("a.csv", "\n".join(["text,label", *lines]))
    assert len(found) == 13 and [problem.line for problem in wrong(problems)] == [6]


def test_glue_among_answers_of_every_kind_is_told() -> None:
    inside = "".join(f"why {n},because {n}\n" for n in range(3))
    text = f'question,answer\n"What, he said,so\n{inside}Who",me\nwhen,now\n'
    assert [problem.line for problem in read("a.csv", text)[1]] == [2]


def test_glue_without_labels_is_told_and_the_row_kept() -> None:
    found, problems = read("a.csv", 'question,answer\nwhy,since\n"what,this\nwho",me\n')
    assert len(found) == 2
    assert [(p.line, p.severity) for p in problems] == [(3, "warning")]


@pytest.mark.parametrize(
    "cell",
    [
        "Roses are red, \nviolets are blue",
        "one\ntwo\n\nthree",
        "def f(a, b):\n    return a + b",
        "def f(a,b):\n    return g(a,b)",
        "Dear all,\nplease come.\nYours, Tom",
        "1,000 men\n2,000 horses",
        'she said "no, x\nthen" left',
    ],
)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_texts_of_several_lines_are_texts(cell: str, quoting: Any) -> None:
    rows = [[cell, "x"], ["plain", "y"], [f"{cell} again", "x"], ["more", "y"], ["last", "x"]]
    for mark, name in ((",", "a.csv"), ("\t", "a.tsv")):
        sink = io.StringIO(newline="")
        csv.writer(sink, delimiter=mark, quoting=quoting).writerows([["text", "label"], *rows])
        assert read(name, sink.getvalue()) == (rows, [])


@pytest.mark.parametrize(
    ("content", "texts", "told"),
    [
        ('"text"\t"label"\n"Go."\t"x"\n', ["Go."], 0),  # everything is quoted
        ('text\tlabel\n"He said ""go""."\tx\nno\ty\n', ['He said "go".'], 0),  # as Excel does it
        ('text\tlabel\n"one, two"\tx\nno\ty\n', ["one, two"], 0),  # Excel quotes commas too
        ('text\tlabel\n"one\ttwo"\tx\nno\ty\n', ["one\ttwo"], 0),
        ('text\tlabel\n"one\ntwo"\tx\nno\ty\n', ["one\ntwo"], 0),
        ('text\tlabel\n"Go."\tx\nno\ty\n', ['"Go."'], 2),  # speech
        ('text\tlabel\n"Go," he said\tx\nno\ty\n', ['"Go," he said'], 2),
        ('text\tlabel\n5" screen\tx\nno\ty\n', ['5" screen'], 0),
        ('text\tlabel\n"never closed\tx\nno\ty\n', ['"never closed'], 2),
    ],
)
def test_quotes_between_tabs_quote_only_where_the_table_shows_it(
    content: str, texts: list[str], told: int
) -> None:
    found, problems = read("a.tsv", content)
    assert [row[0] for row in found][: len(texts)] == texts
    assert [problem.line for problem in problems] == [told] * bool(told)
    assert len(found) == content.count("\n") - 1 - content.count("one\ntwo")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.csv", ["text,label", "a,b", "c,d"]),
        ("a.tsv", ["text\tlabel", "a\tb", "c\td"]),
        ("a.jsonl", ['{"t": "a", "l": "b"}', '{"t": "c", "l": "d"}']),
        ("a.json", ['{"t": "a", "l": "b"}', '{"t": "c", "l": "d"}']),
    ],
)
def test_lines_end_in_any_way(name: str, lines: list[str], end: str) -> None:
    assert read(name, end.join(lines)) == ([["a", "b"], ["c", "d"]], [])
    assert read(name, end.join([*lines, ""])) == ([["a", "b"], ["c", "d"]], [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"a": 1}{"a": 2}\n'),
        ("a.jsonl", '{"a": 1},\n{"a": 2},\n'),
        ("a.jsonl", '{"a": 1} {"a": 2}\n{"a": 3}\n'),
        ("a.json", '{\n"a": 1\n}\n{\n"a": 2\n}\n'),
        ("a.csv", "a,b\n1,2\n3\n"),
        ("a.csv", "a,b\n1,2,3\n"),
        ("a.tsv", "a\tb\n1\t2\n3\n"),
        ("a.csv", 'a,b\n"1,2\n3,4\n'),
        ("a.csv", 'a,b\n""one"" two,2\n3,4\n'),
    ],
)
def test_rows_that_cannot_be_told_apart_are_errors(name: str, content: str) -> None:
    _, problems = read(name, content)
    assert wrong(problems)


@draws(60)
@given(
    st.lists(
        st.tuples(st.text(st.sampled_from('ab,"\n\t ;'), max_size=12), st.sampled_from("xyz")),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([(",", "a.csv"), ("\t", "a.tsv")]),
)
def test_whatever_a_writer_of_tables_writes_comes_back_or_is_told(rows: Any, kind: Any) -> None:
    mark, name = kind
    sink = io.StringIO(newline="")
    csv.writer(sink, delimiter=mark).writerows([["text", "label"], *rows])
    found, problems = read(name, sink.getvalue())
    assert found == [list(row) for row in rows] or problems


@draws(60)
@given(
    st.lists(
        st.tuples(st.text(st.sampled_from('ab, "'), min_size=1, max_size=9), st.sampled_from("xy")),
        min_size=2,
        max_size=9,
    )
)
def test_plain_rows_between_tabs_are_as_many_as_lines(rows: Any) -> None:
    lines = ["text\tlabel", *(f"{text}\t{label}" for text, label in rows)]
    found, problems = read("a.tsv", "\n".join(lines) + "\n")
    assert len(found) == len(rows) or wrong(problems)
