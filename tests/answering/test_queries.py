"""Which rows of a file are asked what, and what is said of the others."""

import json
from pathlib import Path

import pytest

from yofo_mlx.answering.output import check_columns
from yofo_mlx.answering.queries import Query, Wanted, look
from yofo_mlx.errors import DataError, RecipeError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.sources import load


def file(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_the_columns_are_guessed_as_in_recipes(tmp_path: Path) -> None:
    table = look(file(tmp_path, "a.csv", "id,text,label\n1,good,yes\n2,bad,\n"), Wanted())
    assert [(q.text, q.expected) for q in table] == [("good", "yes"), ("bad", None)]
    assert table.count == 2
    assert [*table.kinds] == ["id", "text", "label"]


@pytest.mark.parametrize(
    ("head", "asked", "answers"),
    [
        ("id,text", "good", False),
        ("id,sentence", "good", False),
        ("other,message", None, False),
        ("label,text", "good", True),
    ],
)
def test_queries_without_answers_are_found_by_the_names_of_columns(
    tmp_path: Path, head: str, asked: str | None, answers: bool
) -> None:
    name = file(tmp_path, "a.csv", f"{head}\n1,good\n")
    if asked is None:
        with pytest.raises(DataError, match="cannot tell which column") as caught:
            look(name, Wanted())
        assert "--input" in caught.value.hint
        return
    table = look(name, Wanted())
    assert [query.text for query in table] == [asked]
    assert table.has_answers == answers


def test_a_runs_task_says_what_its_columns_are(tmp_path: Path) -> None:
    task = TaskSource(source="x.csv", input="{title}: {body}", output="team")
    name = file(tmp_path, "a.csv", "title,body,team\nT,B,x\n")
    [query] = look(name, Wanted(tasks=(task,)))
    assert (query.text, query.expected) == ("T: B", "x")
    name = file(tmp_path, "b.csv", "title,body\nT,B\n")
    [query] = look(name, Wanted(tasks=(task,)))
    assert (query.text, query.expected) == ("T: B", None)


def test_columns_that_are_said_are_taken_and_refused_where_there_are_none(tmp_path: Path) -> None:
    name = file(tmp_path, "a.csv", "text,b,c\nt,x,y\n")
    [query] = look(name, Wanted(input="b", output="c"))
    assert (query.text, query.expected) == ("x", "y")
    [query] = look(name, Wanted(output="c"))
    assert (query.text, query.expected) == ("t", "y")
    with pytest.raises(DataError, match="no field `d`"):
        look(name, Wanted(input="d"))
    with pytest.raises(DataError, match="no row has an answer in `d`"):
        look(name, Wanted(input="b", output="d"))


def chat(*turns: tuple[str, str], **more: int) -> str:
    said = [{"role": role, "content": text} for role, text in turns]
    return json.dumps({"messages": [*said[:-1], said[-1] | more]})


def test_conversations_are_asked_whether_they_are_answered_or_not(tmp_path: Path) -> None:
    rows = [
        chat(("user", "one"), ("assistant", "yes")),
        chat(("user", "two")),
        chat(("user", "three"), ("assistant", "no"), weight=0),
        chat(("user", "a"), ("assistant", "b"), ("user", "four")),
        chat(("assistant", "five")),
    ]
    table = look(file(tmp_path, "a.jsonl", "\n".join(rows)), Wanted())
    said = ["one", "two", "three", "User: a\nAssistant: b\nUser: four", ""]
    assert [query.text for query in table] == said
    assert [query.expected for query in table] == ["yes", None, None, None, None]
    assert "no message is the user's" in [*table][-1].error
    for place in (1, 3):  # no row has an answer
        [query] = look(file(tmp_path, "b.jsonl", rows[place]), Wanted())
        assert (query.text, query.expected) == (said[place], None)


@pytest.mark.parametrize("answer", ["", ', "output": "yes"'])
def test_what_a_row_says_of_its_own_is_asked_as_it_is_shown(tmp_path: Path, answer: str) -> None:
    alike = f'{{"system": "Be short.", "input": "one", "history": [["a", "b"]]{answer}}}\n'
    table = look(file(tmp_path, "a.jsonl", alike * 2), Wanted())
    said = "User: a\nAssistant: b\nUser: one"
    assert [query.text for query in table] == [said] * 2 and table.systems == {"Be short."}
    other = alike.replace("Be short.", "Be long.")
    table = look(file(tmp_path, "b.jsonl", alike + other), Wanted())
    assert [query.text for query in table] == [f"Be short.\n\n{said}", f"Be long.\n\n{said}"]
    [loaded] = load(TaskSource(source=str(tmp_path / "b.jsonl")), tmp_path) if answer else [None]
    if loaded:
        shown = {item.example.input for item in loaded.all_items()}
        assert shown == {query.text for query in table}


def test_rows_that_cannot_be_read_or_asked_keep_their_places(tmp_path: Path) -> None:
    lines = ['{"text": "a"}', "{oops", '{"text": ""}', "7", '{"other": 1}', "", '{"text": "b"}']
    table = look(file(tmp_path, "a.jsonl", "\n".join(lines)), Wanted())
    assert [query.text for query in table] == ["a", "", "", "", "", "b"]
    errors = [query.error.partition(": ")[2] for query in table]
    assert errors[1].startswith("not JSON")
    assert errors[2:5] == ["`text` is empty", "the row is a number", "no field `text`"]
    assert table.count == 6


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "", "no rows"),
        ("a.csv", "text,label\n", "no rows"),
        ("a.csv", "text,text\na,b\n", "two columns are named"),
        ("a.csv", 'text,label\na,b\n"c,d\n', "never ends"),
        ("a.json", '[{"text": "a"}, {"text": "b"', "not JSON"),
        ("a.jsonl", '{"text": ""}\n{"text": " "}\n', "none of 2 rows can be asked"),
        ("a.txt", "text\n", "unknown kind of file"),
        ("a.parquet", "text\n", "not readable as Parquet"),
    ],
)
def test_a_file_that_is_no_file_of_queries_is_refused(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        look(file(tmp_path, name, text), Wanted(input="text"))


def test_only_a_file_can_be_read_more_than_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than once"):
        look("-", Wanted())
    with pytest.raises(DataError, match="is no file"):
        look(str(tmp_path), Wanted())
    with pytest.raises(DataError, match="no such file"):
        look(str(tmp_path / "none.csv"), Wanted())


def test_columns_of_answers_do_not_hide_those_that_are_there(tmp_path: Path) -> None:
    table = look(
        file(tmp_path, "a.jsonl", '{"text": "a"}\n{"text": "b", "Y_Label": 1}\n'), Wanted()
    )
    check_columns(table, ["x_label"])
    with pytest.raises(RecipeError, match="`Y_Label`") as caught:
        check_columns(table, ["y_label", "y_error"])
    assert "--prefix" in caught.value.hint


def test_the_mark_of_a_question_is_that_of_its_text() -> None:
    assert Query({"a": 1}, "x").mark == Query({"a": 2}, "x").mark
    assert Query({}, "x").mark != Query({}, "y").mark


def test_blank_rows_at_the_beginning_hide_no_column(tmp_path: Path) -> None:
    lines = ["id,text", *(f"{n}," for n in range(40)), "41,good", ""]
    table = look(file(tmp_path, "a.csv", "\n".join(lines)), Wanted())
    assert [query.text for query in table][-1] == "good"
    assert table.count == 41
