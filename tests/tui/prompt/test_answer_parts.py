"""Bars of labels, the gauge of the context, and questions found in files: without an app."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tui.prompt import gauge, labels, questions
from tui.prompt.answers import facts_of, is_outside
from tui.prompt.gauge import Fill
from tui.prompt.pasted import looks_like_rows
from yofo_mlx.errors import DataError, YofoError

SCORES = [{"label": "get_pin", "logprob": -4.0}, {"label": "lost_card", "logprob": -1.0}]


def test_shares_are_of_what_all_labels_have_together() -> None:
    (first, most), (second, least) = labels.shares(SCORES)
    assert (first, second) == ("lost_card", "get_pin")
    assert math.isclose(most / least, math.exp(3.0)) and math.isclose(most + least, 1.0)
    assert labels.margin(SCORES) == 3.0 and labels.margin(SCORES[:1]) is None
    assert labels.shares([]) == [] and labels.margin([]) is None
    assert labels.shares([{"label": "a", "logprob": -math.inf}]) == []


def test_bars_are_of_one_scale_and_end_on_one_column() -> None:
    rows = labels.drawn([("lost_card", 0.94), ("名前", 0.06), ("x" * 90, 0.0)], 40, "").plain
    first, second, third = rows.split("\n")
    assert first.startswith("lost_card") and first.endswith(" .94") and second.endswith(" .06")
    assert {line.index("…") for line in (third,)} and third.endswith(" .00")
    assert first.count("█") > 8 > second.count("█") and len(first) == len(third) <= 40


@pytest.mark.parametrize(
    ("answers", "wanted", "found"),
    [
        ("aabb", None, ("a", "b")),
        ("aabb", False, ()),
        ("abcd", None, ()),  # no answer comes again: no labels
        ("abcd", True, ("a", "b", "c", "d")),
        ("aaaa", None, ()),
    ],
)
def test_which_answers_are_compared(answers: str, wanted: bool | None, found: Any) -> None:
    assert labels.labels_of(Counter(answers), wanted) == found


def test_more_than_two_hundred_answers_are_not_compared() -> None:
    answers = [f"l{n % 201}" for n in range(1000)]
    assert labels.labels_of(Counter(answers), True) == ()
    assert len(labels.labels_of(Counter(answers[:200]), True)) == 200


def test_the_gauge_fills_from_dim_to_bright_and_marks_where_training_ended() -> None:
    half = gauge.drawn(Fill(600, 300, 1200, 900), 42)
    assert half.plain == "▕" + "█" * 10 + "░" * 10 + " " * 10 + "┆" + " " * 9 + "▏"
    over = gauge.drawn(Fill(1000, 1000, 1200, 900), 42)
    assert "$text-warning" in {str(span.style) for span in over.spans}
    assert gauge.drawn(Fill(10, 10), 12).plain == "▕██████████▏"
    assert not Fill().is_cached and not Fill(20, 10).is_cached and Fill(20, 20).is_cached


def test_the_gauge_says_tokens_shots_and_memory() -> None:
    facts = {"shots": 24, "offered": 5000, "kv_gb": 2.1, "beside": [{"kv_gb": 2.1}]}
    words = gauge.told(Fill(16_900, 16_900, 32_768), facts)
    assert words == "17k of 33k tokens · 24 of 5,000 shots · ✓ cached · 4.2 GB"
    of_disk = {"shots": 2, "offered": 2, "disk_tokens": 9, "disk_bytes": 1.4e6}
    words = gauge.told(Fill(9, 9), of_disk)
    assert words == "9 tokens · 2 shots · ✓ from disk · 1.4 MB on disk"
    assert gauge.reading(Fill(20, 10), "base model: ", 61.0).startswith("base model: reading 10 of")


def test_facts_say_what_was_read_and_whether_the_answer_is_a_label() -> None:
    result = {"prompt_tokens": 111, "reused": 100, "tokens": 2, "text": "no", "scores": SCORES}
    assert facts_of(result) == ["read 11, 100 reused, wrote 2", "leads by 3.0 nats"]
    assert is_outside(result) and not is_outside(result | {"text": "get_pin"})
    assert not is_outside({"text": "no labels were compared"})


def test_the_questions_of_a_file_are_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "my queries.txt"
    path.write_text("one\n\n  two \n")
    assert questions.read(path) == ["one", "two"]


def test_questions_of_a_table_are_its_inputs_and_too_many_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "queries.csv"
    table.write_text("text,label\nwhere is it,a\nmy card,b\n")
    assert questions.read(table) == ["where is it", "my card"]
    many = tmp_path / "many.txt"
    many.write_text("q\n" * (questions.MOST + 1))
    with pytest.raises(YofoError, match="at most") as caught:
        questions.read(many)
    assert "yofo ask" in caught.value.hint
    many.write_text("\n")
    with pytest.raises(DataError, match="no question"):
        questions.read(many)


@pytest.mark.parametrize(
    ("text", "is_rows"),
    [
        ("a -> b\rc -> d\r", True),
        ("a\tb\nc\td\nno answer", True),
        ("a -> b", False),
        ("a -> b\nno answer\nneither here", False),
        ("first line\nsecond line", False),
    ],
)
def test_what_looks_like_demonstrations(text: str, is_rows: bool) -> None:
    assert looks_like_rows(text) is is_rows
