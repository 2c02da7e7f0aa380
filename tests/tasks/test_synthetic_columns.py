"""Kinds with columns of their own: what their rows say is so."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.suite.vocabulary import NAMES, NUMBERS, TOPICS
from yofo_mlx.tasks.synthetic.files import files
from yofo_mlx.tasks.synthetic.names import named
from yofo_mlx.tasks.task import Task


def rows(source: str, split: str) -> list[dict[str, str]]:
    content = files(named(source)[0])[split].decode()
    return [json.loads(line) for line in content.splitlines()]


def task(source: str, **keys: Any) -> Task:
    return load_tasks([TaskSource(source=source, valid_share=0.0, **keys)], 0, Path())[0].task


def fields(record: str) -> dict[str, str]:
    """Return the words of a record by what they are."""
    kinds = {word: topic for topic, words in TOPICS.items() for word in words}
    kinds |= dict.fromkeys(NAMES, "name") | dict.fromkeys(NUMBERS, "number")
    return {kinds[word]: word for word in record.split()}


@pytest.mark.parametrize("source", ["synthetic:match-0", "synthetic:new-match-3"])
def test_records_match_where_the_fields_that_tell_things_apart_agree(source: str) -> None:
    found = rows(source, "train") + rows(source, "test")
    pairs = [tuple(map(fields, row["input"].split(" | "))) for row in found]
    kinds = sorted(pairs[0][0])
    explained = [
        telling
        for telling in combinations(kinds, 2)
        if all(
            all(left[kind] == right[kind] for kind in telling) == (row["output"] == "match")
            for (left, right), row in zip(pairs, found, strict=True)
        )
    ]
    assert len(explained) == 1
    assert 0.3 < Counter(row["output"] for row in found)["match"] / len(found) < 0.7


def test_queries_outside_join_what_training_rows_show_apart_only() -> None:
    source = "synthetic:parse-2"

    def parts(row: dict[str, str]) -> tuple[str, str]:
        words = row["input"].split()
        return words[1], words[3]

    trained = rows(source, "train")
    shown = set(map(parts, trained))
    verbs, things = ({one[place] for one in shown} for place in (0, 1))
    assert {row["part"] for row in trained} == {"trained"}
    outside = [row for row in rows(source, "test") if row["part"] == "outside"]
    inside = [row for row in rows(source, "test") if row["part"] == "inside"]
    assert len(outside) > 20 and len(inside) > 20
    assert all(parts(row) in shown for row in inside)
    for verb, thing in map(parts, outside):
        assert (verb, thing) not in shown and verb in verbs and thing in things
    for part, expected in (("inside", inside), ("outside", outside)):
        measured = task(source, where={"part": ["trained", part]}, name=part)
        assert {one.input for one in measured.test} == {row["input"] for row in expected}
        assert len(measured.train) == len(trained)


def test_a_specialist_is_right_as_often_as_it_is_confident() -> None:
    right, asked = Counter[str](), Counter[str]()
    for number in range(30):
        for row in rows(f"synthetic:specialist-{number}", "train"):
            asked[row["confidence"]] += 1
            right[row["confidence"]] += row["prediction"] == row["output"]
    assert len(asked) == 7
    for confidence, times in asked.items():
        assert right[confidence] / times == pytest.approx(float(confidence), abs=0.06)
    shown = task(
        "synthetic:specialist-0",
        input="{input} | a classifier says {prediction} ({confidence})",
    )
    assert " | a classifier says " in shown.train[0].input


def test_annotators_disagree_and_their_aggregate_is_what_most_say() -> None:
    source = "synthetic:annotators-1"
    found = {split: rows(source, split) for split in ("train", "test")}
    everyone = [*found["train"], *found["test"]]
    said: dict[str, dict[str, str]] = {}
    for row in everyone:
        said.setdefault(row["input"], {})[row["annotator"]] = row["output"]
    assert len({row["annotator"] for row in everyone}) == 3
    whole = {text: answers for text, answers in said.items() if len(answers) == 3}
    aggregate = {row["input"]: row["aggregate"] for row in everyone}
    for text, answers in whole.items():
        assert aggregate[text] == Counter(answers.values()).most_common(1)[0][0]
    assert any(len(set(answers.values())) == 2 for answers in said.values())
    texts = [{row["input"] for row in of_split} for of_split in found.values()]
    assert not texts[0] & texts[1]
    one_by_one = task(source)
    joined = task(source, input="input", output="aggregate")
    assert one_by_one.train[0].input.endswith(f": {found['train'][0]['input']}")
    assert len({one.input for one in joined.train}) == len(joined.train)
