"""Texts that are one and the same are told from those that are not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.tasks.spelling import (
    label_key,
    list_in_text,
    respelled,
    spelled,
    text_key,
    unify_lines,
)

entries = st.lists(st.text(st.characters(codec="utf-8"), max_size=6), max_size=4)


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    assert text_key(text_key(text)) == text_key(text)


@given(st.text())
def test_line_ends_are_all_that_changes(text: str) -> None:
    assert "\r" not in unify_lines(text)
    assert unify_lines(text.replace("\r", "")) == text.replace("\r", "")
    assert unify_lines(text.replace("\n", "").replace("\r", "\r\n")) == text.replace(
        "\n", ""
    ).replace("\r", "\n")


@given(entries)
def test_lists_that_python_or_json_wrote_are_read_back(values: list[str]) -> None:
    assert list_in_text(repr(values)) == values
    assert list_in_text(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("['joy' 'fear']", ["joy", "fear"]),
        ("['joy'\n 'fear']", ["joy", "fear"]),
        ("array(['joy', 'fear'], dtype=object)", ["joy", "fear"]),
        ("{'joy'}", ["joy"]),
        ("('joy',)", ["joy"]),
        ("[0 3]", ["0", "3"]),
        ("[0, 3]", ["0", "3"]),
        ("[]", []),
    ],
)
def test_lists_of_other_tools_are_read(text: str, values: list[str]) -> None:
    assert list_in_text(text) == values


@pytest.mark.parametrize("text", ["(A)", "(1)", "[ ( [", "{1}", "[joy]", "joy", "", "[1", "'a'"])
def test_what_is_no_list_stays_text(text: str) -> None:
    assert list_in_text(text) is None


@pytest.mark.parametrize(
    ("one", "other"), [("yes", "Yes."), ("card_lost", "card lost"), ("caf\u00e9", "CAFE\u0301")]
)
def test_spellings_of_a_label_share_a_key(one: str, other: str) -> None:
    assert label_key(one) == label_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "-1"), ("C", "C++"), (".", "!"), ("\U0001f3f4", "\U0001f3f4\U000e0067"), ("2", "x2")],
)
def test_labels_that_differ_have_keys_that_differ(one: str, other: str) -> None:
    assert label_key(one) != label_key(other)


def test_texts_that_are_labels_in_other_spellings_are_found() -> None:
    assert respelled(["Yes", "no", "maybe"], {"yes", "no"}) == {"Yes": "yes"}


def test_what_looks_alike_is_spelled_letter_by_letter() -> None:
    assert spelled("sport\u200b", "sport") == r"'sport\u200b'"
    assert spelled("Sport", "sport") == "'Sport'"


@pytest.mark.parametrize("pair", [("1", "1.0"), ("-2", "-2.00"), ("True", "true")])
def test_a_label_is_one_whether_a_table_writes_it_as_text_or_number(pair: tuple[str, str]) -> None:
    assert label_key(pair[0]) == label_key(pair[1])
    assert label_key("1.5") != label_key("15")
    assert label_key("v1.0") != label_key("v1")
