"""Generated tasks: a pure function of seed and number, sound, apart from the held-out ones."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks import checks
from yofo_mlx.tasks.problems import errors
from yofo_mlx.tasks.registry import fingerprint, is_apart, load_tasks
from yofo_mlx.tasks.sources import load
from yofo_mlx.tasks.suite.vocabulary import FUNCTION_WORDS, NUMBERS, unknown
from yofo_mlx.tasks.synthetic.files import files
from yofo_mlx.tasks.synthetic.kinds import KINDS, MIXED
from yofo_mlx.tasks.synthetic.names import Named, is_one, named
from yofo_mlx.tasks.task import Task

any_task = st.builds(
    Named,
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["train", "held_out"]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)


def tasks(source: str, **keys: str) -> list[Task]:
    return [one.task for one in load_tasks([TaskSource(source=source, **keys)], 0, Path())]


@given(any_task)
@draws(20)
def test_a_task_is_a_function_of_its_name_and_is_sound(task: Named) -> None:
    before = files(task)
    files.cache_clear()
    assert files(task) == before
    assert named(task.source) == [task]
    assert is_one(task.source)
    [loaded] = load(TaskSource(source=task.source), Path())
    assert not errors(checks.check(loaded))
    assert loaded.family == task.family
    shown = {item.example.input for item in loaded.items["train"]}
    asked = {item.example.input for item in loaded.items["test"]}
    assert len(shown) >= 60 and len(asked) >= 15 and not shown & asked


def test_what_is_drawn_stays_the_same_on_every_machine() -> None:
    marks = [
        fingerprint(one)[:8] for one in tasks("synthetic:all:4") + tasks("synthetic:new-map-7")
    ]
    assert marks == ["11b67439", "5e251fb9", "27ef7632", "59a19ac6", "7f6161c9"]


@pytest.mark.parametrize("kind", MIXED)
def test_trained_and_held_out_tasks_share_no_word(kind: str) -> None:
    shared = {*FUNCTION_WORDS, *NUMBERS}
    trained, apart = (
        {
            word
            for one in tasks(f"synthetic:{prefix}{kind}:12")
            for example in (*one.train, *one.test)
            for word in re.findall(r"\w+", f"{example.input} {example.output}")
        }
        - shared
        for prefix in ("", "new-")
    )
    assert trained and apart and not trained & apart
    assert not unknown([*trained, *apart])  # the embedded model reads them whole
    assert is_apart(f"synthetic:new-{kind}:12") and not is_apart(f"synthetic:{kind}:12")


def test_a_name_stands_for_many_tasks_of_which_each_is_another() -> None:
    many = tasks("synthetic:all:8")
    assert [one.name for one in many[:5]] == [
        "classify-000", "map-001", "extract-002", "rule-003", "classify-004",
    ]  # fmt: skip
    assert len({fingerprint(one) for one in many}) == 8
    assert tasks("synthetic:all:4-7") == many[4:]
    assert tasks("synthetic:rule-3") == [many[3]]
    assert [one.kind for one in tasks("synthetic:new-map:2")] == ["new-map", "new-map"]
    other = tasks("synthetic:rule-3@7")[0]
    assert other.name == "rule-003@7" and other.train != many[3].train
    assert [one.name for one in tasks("synthetic:map:2", name="mine")] == [
        "mine/map-000", "mine/map-001",
    ]  # fmt: skip


def test_other_keys_of_a_table_hold_for_generated_tasks_too() -> None:
    [entry] = load_tasks(
        [TaskSource(source="synthetic:classify-0", limit=9, valid_share=0.0)], 3, Path()
    )
    assert (len(entry.task.train), len(entry.task.test), entry.guessed) == (9, 32, False)
    label = entry.task.labels[0]
    [where] = load_tasks(
        [TaskSource(source="synthetic:classify-0", where={"output": label})], 3, Path()
    )
    assert {example.output for example in where.task.train} == {label}


@pytest.mark.parametrize(
    ("source", "words", "hint"),
    [
        ("synthetic:classfy", "no such generated tasks", "did you mean synthetic:classify?"),
        ("synthetic:new-al:4", "no such generated tasks", "did you mean synthetic:new-all?"),
        ("synthetic:", "no such generated tasks", "kinds are classify, map"),
        ("synthetic:map:0", "stands for no task", "such as synthetic:map:0-99"),
        ("synthetic:map:9-3", "stands for no task", "such as synthetic:map:0-99"),
        ("synthetic:map:99999", "stands for 99,999 tasks", "from 1 to 10,000"),
    ],
)
def test_a_name_that_stands_for_nothing_says_what_there_is(
    source: str, words: str, hint: str
) -> None:
    good = TaskSource(source="synthetic:map-1")
    with pytest.raises(DataError) as caught:
        load_tasks([TaskSource(source=source), good], 0, Path())
    assert words in caught.value.message and hint in (caught.value.hint or "")
