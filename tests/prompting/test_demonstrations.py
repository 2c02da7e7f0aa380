"""Demonstrations as people paste them."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.errors import DataError
from yofo_mlx.prompting.demonstrations import parse, read
from yofo_mlx.tasks.suite import tasks as suite
from yofo_mlx.tasks.task import Example

TWO = (Example("good film", "yes"), Example("bad, film", "no"))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("lines with `->`", "good film -> yes\nbad, film->no"),
        ("lines with `=>`", "good film => yes\n\n  bad, film => no\n"),
        ("lines with `→`", "good film → yes\nbad, film → no"),
        ("lines with tab", "good film\tyes\r\nbad, film\tno\r\n"),
        ("TSV with a header", "text\tlabel\ngood film\tyes\nbad, film\tno"),
        ("CSV with a header", 'label,text\nyes,good film\nno,"bad, film"'),
        ("CSV of two columns", 'good film,yes\n"bad, film",no'),
        ("CSV with semicolons with a header", "Input;Output\ngood film;yes\nbad, film;no"),
        (
            "JSON lines",
            '{"input": "good film", "output": "yes"}\n{"input": "bad, film", "output": "no"}',
        ),
        (
            "a JSON list",
            '[{"text": "good film", "label": "yes"},\n {"text": "bad, film", "label": "no"}]',
        ),
        (
            "a JSON list",
            '{"about": "films", "rows": [["good film", "yes"],\n ["bad, film", "no"]]}',
        ),
        ("JSON lines", '["good film", "yes"]\n["bad, film", "no"]'),
        ("CSV with a header", 'Text,Label\r\ngood film,yes\r\n"bad, film",no\r\n'),
        (
            "Input: / Output: blocks",
            "Input: good film\nOutput: yes\n\nInput: bad, film\nOutput: no",
        ),
        ("Q: / A: blocks", "Q: good film\nA: yes\nQ: bad, film\nA: no"),
        ("question: / answer: blocks", "question: good film\nanswer: yes\nq: bad, film\na: no"),
    ],
)
def test_the_same_pairs_are_found_in_every_form(form: str, text: str) -> None:
    parsed = parse(text)
    assert parsed.examples == TWO
    assert parsed.problems == ()
    assert parsed.format == form


def test_blocks_may_have_many_lines() -> None:
    parsed = parse("Input: one\ntwo\n\nthree\nOutput: a\nb\n\nInput: x\nOutput: y\n")
    assert parsed.examples == (Example("one\ntwo\n\nthree", "a\nb"), Example("x", "y"))


def test_the_last_arrow_separates() -> None:
    assert parse("a -> b -> c").examples == (Example("a -> b", "c"),)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a -> b\njunk\nc -> d\n -> e\nf ->", [2, 4, 5]),
        ('{"input": "a", "output": "b"}\n{"input": "c"\n{"text": "d"}', [2, 3]),
        ('[{"input": "a", "output": "b"},\n{"input": "c"}]', [2]),
        ("hello\nQ: a\nA: b\nQ: c\nQ: d\nA: e\nA: f\nQ: g", [1, 4, 7, 8]),
        ("text,label\na,b\nc\nd,e,f\n,g", [3, 4, 5]),
        ('text,label\n"a\nb",c\nd', [4]),
        ("just\n\ntext", [1, 3]),
        ("[]", [1]),
        ("text,label\n", [1]),
    ],
)
def test_every_unread_line_is_a_problem_with_its_number(text: str, problems: list[int]) -> None:
    assert [problem.line for problem in parse(text).problems] == problems


def test_half_a_character_is_a_problem() -> None:
    assert [p.line for p in parse("a -> b\n\udcff -> c\nd -> e").problems] == [2]


def test_few_arrows_among_other_lines_are_told_as_lines_with_arrows() -> None:
    parsed = parse("great film -> positive\nwhat a bore => negative\nnonsense")
    assert parsed.format == "lines with `->`"
    assert [example.output for example in parsed.examples] == ["positive"]
    assert [problem.line for problem in parsed.problems] == [2, 3]
    assert parse("one\ntwo").format == "nothing"


def test_nothing_is_no_demonstration() -> None:
    for text in ("", " \n\n", "\ufeff"):
        assert parse(text).examples == parse(text).problems == ()


def test_two_thousand_lines_are_read_in_order() -> None:
    parsed = parse("\n".join(f"input {n} -> {n}" for n in range(2000)))
    assert [example.output for example in parsed.examples] == [str(n) for n in range(2000)]


@given(st.text(alphabet=st.sampled_from('ab,;"\t\n{}[]:->=QAInputOutput \x1b\u2028'), max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    parsed = parse(text)
    lines = text.replace("\r", "\n").count("\n") + 1
    assert all(1 <= problem.line <= lines for problem in parsed.problems)
    assert all(example.input and example.output for example in parsed.examples)
    assert parsed.examples or parsed.problems or not text.strip()


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9 -> x")
    for name in ("latin", "missing", "."):
        with pytest.raises(DataError):
            read(str(tmp_path / name))


def test_a_task_of_the_suite_gives_its_examples() -> None:
    [task] = suite.find("new-topic-01")
    assert read("tiny:new-topic-01").examples == task.train
    with pytest.raises(DataError, match="unknown source tiny:nothing"):
        read("tiny:nothing")


def test_what_is_named_is_read_as_it_must_have_been_meant_and_that_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name in ("colours", "shapes"):
        rows = [{"input": f"{name} {n}", "target": "ab"[n]} for n in range(2)]
        (folder / f"{name}.json").write_text(json.dumps({"examples": rows}))
    several = read(str(folder))
    assert len(several.examples) == 4 and f'source = "{folder}/*.json"' in several.notes[0]
    splits = {"val": [["v", "x"]], "train": [["t", "x"], ["u", "y"]]}
    (tmp_path / "whole.json").write_text(json.dumps(splits))
    whole = read("whole.json", base=tmp_path)
    assert whole.examples == (Example("t", "x"), Example("u", "y"))
    assert 'records = "{split}"' in whole.notes[0]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError):
        read(str(tmp_path / "none"))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_header_with_a_name_of_a_users_own_is_no_demonstration(mark: str) -> None:
    found = parse("\n".join(mark.join(row) for row in (("Text", "team"), ("a", "b"), ("c", "d"))))
    assert [(one.input, one.output) for one in found.examples] == [("a", "b"), ("c", "d")]
    assert [one.line for one in found.problems] == [1]
    rows = parse("\n".join(mark.join(row) for row in (("x", "1"), ("a", "b"), ("text", "d"))))
    assert len(rows.examples) == 3 and not rows.problems


@pytest.mark.parametrize("first", [("what time is it", "question"), ("hello", "label")])
def test_an_answer_that_could_name_a_column_is_an_answer(first: tuple[str, str]) -> None:
    rows = (first, ("it rains", "statement"), ("bye", "label"))
    assert len(parse("\n".join(map("\t".join, rows))).examples) == 3
    assert len(parse("\n".join(map(",".join, rows))).examples) == 3


SENTENCES = st.lists(st.sampled_from("my card was lost today where is it".split()), min_size=2)
LABELS = ("cards", "transfers", "fees")


@pytest.mark.parametrize("mark", [",", ";", "\t", " => "])
@draws(40)
@given(
    st.lists(st.tuples(SENTENCES.map(" ".join), st.sampled_from(LABELS)), max_size=8),
    st.tuples(
        st.sampled_from(("utterance", "hello", "my card")), st.sampled_from(("team", *LABELS))
    ),
)
def test_a_first_row_is_a_demonstration_or_told_to_be_a_header_unlike_all_below(
    mark: str, rows: list[tuple[str, str]], first: tuple[str, str]
) -> None:
    found = parse("\n".join(mark.join(row) for row in (first, *rows)))
    pairs = [(one.input, one.output) for one in found.examples]
    assert pairs in ([first, *rows], rows)
    is_left_out = pairs == rows
    assert is_left_out == bool(found.problems)
    counts = Counter(label for _, label in rows)
    unlike = len(rows) > 2 and " " not in first[0] and first[1] not in counts
    assert is_left_out == (unlike and min(counts.values()) > 1 and mark != " => ")
    if is_left_out:
        assert found.problems[0].line == 1 and "names of the columns" in found.problems[0].message
        named = parse("\n".join(mark.join(row) for row in (("input", "output"), first, *rows)))
        assert len(named.examples) == len(rows) + 1


def test_a_header_over_free_texts_is_told_in_a_file_as_well(tmp_path: Path) -> None:
    rows = ["utterance,reply", *(f"how is it at {n} o'clock,quite fine at {n}" for n in range(4))]
    (tmp_path / "talk.csv").write_text("\n".join(rows))
    found = read("talk.csv", base=tmp_path)
    assert len(found.examples) == 4 and [one.line for one in found.problems] == [1]
