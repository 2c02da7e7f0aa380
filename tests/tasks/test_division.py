"""Data given to an evaluation: rows to show, rows to ask."""

import pytest

from yofo_mlx.errors import DataError
from yofo_mlx.tasks.division import divide
from yofo_mlx.tasks.task import Example, Task


def rows(count: int, start: int = 0) -> tuple[Example, ...]:
    return tuple(Example(f"in {n}", "ab"[n % 2]) for n in range(start, start + count))


def task(train: int = 0, valid: int = 0, test: int = 0) -> Task:
    return Task("mine", "other", rows(train), rows(valid, train), rows(test, train + valid))


@pytest.mark.parametrize(
    ("count", "asked"), [(2, 1), (3, 1), (5, 2), (20, 10), (32, 16), (100, 16), (1000, 100)]
)
def test_one_list_gives_a_tenth_to_ask_or_up_to_half_where_that_is_few(
    count: int, asked: int
) -> None:
    divided, how = divide(task(train=count), seed=0, queries=16)
    assert (len(divided.train), len(divided.test)) == (count - asked, asked)
    assert {*divided.train} | {*divided.test} == {*rows(count)} and not divided.valid
    assert how == f"queries were drawn from its {count:,} rows (seed 0)"
    assert divide(task(train=count), seed=0, queries=16)[0] == divided


def test_another_seed_draws_others_and_a_share_is_taken_as_it_is() -> None:
    drawn = {divide(task(train=100), seed=seed, queries=16)[0].test for seed in range(3)}
    assert len(drawn) == 3
    assert len(divide(task(train=100), seed=0, queries=16, share=0.5)[0].test) == 50
    assert len(divide(task(train=100), seed=0, queries=60)[0].test) == 50


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_split_that_stands_alone_is_one_list(split: str) -> None:
    divided, how = divide(task(**{split: 10}), seed=0, queries=16)
    assert (len(divided.train), len(divided.test)) == (5, 5) and "drawn from its 10 rows" in how


def test_splits_of_its_own_are_kept() -> None:
    whole = task(train=8, valid=4, test=4)
    divided, how = divide(whole, seed=0, queries=16)
    assert divided == whole and how == "demonstrations are of its train rows, queries of test"
    assert divide(task(train=8, valid=4), seed=0, queries=16)[1].endswith("queries of valid")
    divided, how = divide(task(valid=4, test=6), seed=0, queries=16)
    assert (len(divided.train), len(divided.test)) == (4, 6) and "of its valid rows" in how


def test_rows_of_one_input_stay_on_one_side() -> None:
    twice = Task("mine", "other", tuple(Example(e.input, o) for e in rows(10) for o in "ab"))
    divided, _ = divide(twice, seed=0, queries=4)
    assert not {e.input for e in divided.train} & {e.input for e in divided.test}
    same = Task("mine", "other", rows(4), (), tuple(Example(e.input, "c") for e in rows(4)))
    assert len(divide(Task("m", "other", (), same.train, same.test), 0, 16)[0].train) == 2


def test_what_cannot_be_divided_says_what_is_needed() -> None:
    with pytest.raises(DataError, match="mine: 1 row only: none is left to ask") as caught:
        divide(task(train=1), seed=0, queries=16)
    assert caught.value.hint == "give two rows at least: one is shown, the other is asked"
    one_input = Task("mine", "other", (Example("x", "a"), Example("x ", "b")))
    with pytest.raises(DataError, match="2 rows with one and the same input"):
        divide(one_input, seed=0, queries=16)
