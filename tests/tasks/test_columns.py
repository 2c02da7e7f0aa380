"""Rows become examples: columns, templates, labels, known shapes, and what goes wrong."""

import math
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.tasks.columns import Columns, Item, choose_columns
from yofo_mlx.tasks.problems import Place, RowError
from yofo_mlx.tasks.reading.rows import Row
from yofo_mlx.tasks.spelling import text_key

visible = st.text(st.characters(codec="utf-8", exclude_characters="\r")).filter(text_key)


def row(fields: dict[str, Any]) -> Row:
    return Row(Place("a.jsonl", 1), fields)


def convert(fields: dict[str, Any], **keys: Any) -> Item:
    columns = choose_columns(row(fields), keys.pop("input", None), keys.pop("output", None), **keys)
    return columns.item(row(fields))


def pair(fields: dict[str, Any], **keys: Any) -> tuple[str, str]:
    item = convert(fields, **keys)
    return item.example.input, item.example.output


def refusal(fields: dict[str, Any], **keys: Any) -> str:
    with pytest.raises(RowError) as caught:
        convert(fields, **keys)
    return caught.value.message


@given(visible, visible)
def test_text_comes_through_but_for_the_space_around_it(one: str, two: str) -> None:
    assert pair({"input": one, "output": two}) == (one.strip(), two.strip())


@given(visible, visible, visible)
def test_a_template_joins_columns(one: str, two: str, label: str) -> None:
    fields = {"premise": one, "hypothesis": two, "label": label}
    found = pair(fields, input="<{premise}>\n{{{hypothesis}}}", output="label")
    assert found == (f"<{one}>\n{{{two}}}", label.strip())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input": "a", "output": "b"}, ("a", "b")),
        ({"prompt": "a", "completion": "b"}, ("a", "b")),
        ({"question": "a", "answer": "b"}, ("a", "b")),
        ({"text": "a", "label": "b"}, ("a", "b")),
        ({"text": "a", "label": 3, "label_text": "b"}, ("a", "b")),
        ({"input": "a", "target": "b"}, ("a", "b")),
        ({"instruction": "do", "input": "a", "output": "b"}, ("do\n\na", "b")),
        ({"instruction": "do", "input": "", "output": "b"}, ("do", "b")),
        ({"document": "a", "summary": "b", "id": 1}, ("a", "b")),
        ({"0": "a", "1": "b"}, ("a", "b")),
        (
            {"premise": "a", "hypothesis": "b", "label": "c"},
            ("Premise: a\nHypothesis: b", "c"),
        ),
        (
            {"context": "a", "question": "b?", "answers": {"text": ["c", "d"], "start": [1, 2]}},
            ("a\n\nQuestion: b?", "c"),
        ),
    ],
)
def test_known_shapes_need_no_column_map(fields: Any, expected: tuple[str, str]) -> None:
    assert pair(fields) == expected


def test_nested_fields_are_reached_by_dotted_paths() -> None:
    fields = {"a": {"b": [{"c": "x"}, {"c": "y"}]}, "d.e": "z"}
    assert pair(fields, input="a.b.1.c", output="d.e") == ("y", "z")
    assert pair(fields, input="{a.b.c}", output="d.e") == ("x, y", "z")


def test_numbers_become_label_names() -> None:
    assert pair({"text": "a", "label": 1}, labels=("no", "yes")) == ("a", "yes")
    assert pair({"text": "a", "label": "1"}, labels=("no", "yes")) == ("a", "yes")
    assert pair({"text": "a", "label": True}, labels=("no", "yes")) == ("a", "yes")
    assert pair({"text": "a", "label": 1.0}, labels=("no", "yes")) == ("a", "yes")
    assert pair({"text": "a", "label": 0}, class_names={"label": ("no", "yes")}) == ("a", "no")
    assert pair({"text": "a", "label": 7}) == ("a", "7")
    assert pair({"text": "a", "label": False}) == ("a", "false")


def test_a_list_of_labels_is_joined_and_kept_apart() -> None:
    item = convert({"text": "a", "labels": [2, 0]}, labels=("x", "y", "z"), separator=" | ")
    assert item.example.output == "z | x"
    assert item.answers == ("z", "x") and item.is_list


def test_a_list_of_answers_to_a_question_is_one_answer_in_several_forms() -> None:
    item = convert({"question": "a?", "answer": ["2", "two", "2"]}, family="qa")
    assert (item.example.output, item.answers, item.is_list) == ("2", ("2", "two"), False)
    assert item.references == ("two",)
    squad = {"context": "a", "question": "b?", "answers": {"text": ["c", "d"], "start": [1, 2]}}
    for keys in ({}, {"input": "{question}"}, {"output": "answers.text", "family": "qa"}):
        assert convert(squad, **keys).references == ("d",)
    assert convert(squad, output="answers.text.0").references == ()
    assert convert({"text": "a", "labels": ["x", "y"]}).references == ()
    assert "empty" in refusal({"question": "a?", "answer": ["2", " "]}, family="qa")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"b": "é", "a": [1, None, {"d": True, "c": 1.5}]},
            '{"a":[1,null,{"c":1.5,"d":true}],"b":"é"}',
        ),
        ([{"a": 1}, {"b": Decimal("2.50")}], '[{"a":1},{"b":2.5}]'),
        ({"on": date(2024, 5, 6), "n": Decimal("3.0")}, '{"n":3,"on":"2024-05-06"}'),
    ],
)
def test_an_answer_that_is_an_object_is_its_json_in_one_order(value: Any, text: str) -> None:
    assert pair({"input": "a", "output": value}) == ("a", text)
    assert pair({"input": "a", "output": value}, family="extraction") == ("a", text)


def test_objects_are_json_only_where_the_family_allows() -> None:
    assert pair({"input": "a", "output": ["x", 1]}, family="extraction") == ("a", '["x",1]')
    assert "holds an object" in refusal({"input": "a", "output": {"x": 1}}, family="qa")
    assert "holds an object" in refusal({"input": "a", "output": {"x": 1}}, labels=("x",))


def test_a_conversation_gives_its_last_answer_and_what_came_before() -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": [{"type": "text", "text": "Two?"}]},
        {"role": "assistant", "content": "2"},
    ]
    item = convert({"messages": turns})
    assert item.example.input == "User: One?\nAssistant: 1\nUser: Two?"
    assert (item.example.output, item.system) == ("2", "Be brief.")
    single = convert({"messages": turns[:3]})
    assert (single.example.input, single.example.output) == ("One?", "1")
    other = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    assert pair({"conversations": other}) == ("a", "b")


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "empty"),
        (["hi"], "message 1 is text"),
        ([{"role": "user", "content": "a"}], "not the assistant's"),
        ([{"role": "assistant", "content": "a"}], "no user message"),
        ([{"role": "user", "content": None}], "`content` is null"),
        ([{"role": "robot", "content": "a"}], "unknown role 'robot'"),
        ([{"role": "user", "content": [{"type": "image"}]}], "other than text"),
    ],
)
def test_a_broken_conversation_is_named(turns: Any, message: str) -> None:
    assert message in refusal({"messages": turns})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": "a"}, "cannot tell input and answer"),
        ({"text": "a"}, "plain text has no answer"),
        ({"input": "", "output": "b"}, "`input` is empty"),
        ({"input": "a", "output": " \n"}, "`output` is empty"),
        ({"input": None, "output": "b"}, "`input` is null"),
        ({"input": "a", "output": math.nan}, "`output` is NaN"),
        ({"input": "a", "output": [math.nan]}, "NaN"),
        ({"input": "a", "output": math.inf}, "`output` holds a number"),
        ({"input": 5, "output": "b"}, "`input` is a number, not text"),
        ({"input": "a", "output": {"x": b"1"}}, "what JSON cannot: binary"),
        ({"input": "a", "output": {"x": math.nan}}, "what JSON cannot"),
        ({"input": "a", "output": []}, "`output` is empty"),
        ({"input": "a", "output": [None]}, "`output` holds null"),
        ({"input": "a", "output": [["b"]]}, "`output` holds a list"),
        ({"input": b"a", "output": "b"}, "`input` is binary"),
        ({"input": "a\ud800", "output": "b"}, "lone surrogate"),
        ({"context": "a", "question": "b", "answers": {"text": []}}, "`answers.text` is empty"),
        ({"context": "a", "question": "b", "answers": "c"}, "text where an object was expected"),
        ({"context": "a", "question": "b", "answers": {}}, "no field `answers.text`"),
    ],
)
def test_what_is_missing_empty_or_of_a_wrong_type_is_named(fields: Any, message: str) -> None:
    assert message in refusal(fields)


def test_a_number_outside_the_labels_is_named() -> None:
    assert "5, but there are 2 labels" in refusal({"text": "a", "label": 5}, labels=("x", "y"))
    assert "no label" in refusal({"text": "a", "label": -1}, labels=("x", "y"))


def test_a_missing_column_names_those_that_are_there() -> None:
    with pytest.raises(RowError) as caught:
        convert({"question": "a", "reply": "b"}, input="question", output="answer")
    assert "`answer`" in caught.value.message and "`reply`" in caught.value.hint


def test_one_side_can_be_given_and_the_other_taken_from_the_shape() -> None:
    fields = {"text": "a", "label": "b", "tone": "c"}
    assert pair(fields, output="tone") == ("a", "c")
    assert choose_columns(row(fields), None, "tone") == Columns("text", "tone")


@pytest.mark.parametrize("stars", [3, "3", 3.0])
def test_labels_that_are_numbers_stand_for_themselves(stars: Any) -> None:
    labels = ("1", "2", "3", "4", "5")
    fields = {"text": "a", "stars": stars}
    keys = {"input": "text", "output": "stars", "labels": labels}
    if stars == 3.0 and isinstance(stars, float):
        assert refusal(fields, **keys) == "answer '3.0' is not one of `labels`"
    else:
        assert pair(fields, **keys) == ("a", "3")
    assert refusal({"text": "a", "stars": 0}, **keys) == "answer '0' is not one of `labels`"
    in_place = {**keys, "labels": ("0", "1", "2", "3 or more")}
    assert pair({"text": "a", "stars": 3}, **in_place) == ("a", "3 or more")
    assert pair({"text": "a", "stars": 2}, **in_place) == ("a", "2")


@pytest.mark.parametrize("weight", [0, 0.0, "0", "0.0", False])
def test_a_row_of_weight_zero_is_left_out_however_a_table_writes_it(weight: Any) -> None:
    fields = {"prompt": "a", "completion": "b", "weight": weight}
    assert refusal(fields) == "the `weight` of the row is zero"
    assert convert({**fields, "weight": "1.0"}).unused == ()
