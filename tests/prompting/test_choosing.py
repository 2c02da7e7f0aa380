from collections.abc import Iterator

import pytest

from yofo_mlx.prompting.choosing import Division, division_of
from yofo_mlx.prompting.inprocess import InProcess
from yofo_mlx.recipe.ways import Way

ROWS = [
    {"input": f"{word} {number}", "output": label}
    for number in range(4)
    for word, label in (("red apple", "fruit"), ("fast car", "vehicle"), ("old truck", "vehicle"))
]


@pytest.fixture(scope="module")
def session() -> Iterator[InProcess]:
    with InProcess() as session:
        session.restart()
        session.call("load", {"model": "tiny"})
        yield session


@pytest.mark.parametrize(
    ("way", "shots", "found"),
    [
        ("balanced", 5, Division(5, 0)),
        ("similar", None, Division(0, None)),
        ("tail", None, Division(None, 16)),
        ("tail", 5, Division(3, 2)),
        ("tail", 100, Division(84, 16)),
    ],
)
def test_shots_are_divided(way: Way, shots: int | None, found: Division) -> None:
    assert division_of(way, shots) == found


@pytest.mark.parametrize(("way", "bulk", "tail"), [("similar", 0, 4), ("tail", 2, 2)])
def test_a_query_sees_what_is_like_it(session: InProcess, way: str, bulk: int, tail: int) -> None:
    told = session.call("prefill", {"demonstrations": ROWS, "choose": way, "shots": 4})
    answer = session.call("generate", {"input": "a fast car", "max_tokens": 1})
    seen = [ROWS[place]["input"] for place in answer["tail"]]
    assert (told["shots"], len(seen)) == (bulk, tail)
    assert seen[-1].startswith("fast car")
    assert not {*answer["tail"]} & {*told["chosen"]}


def test_an_adaptive_query_sees_at_most_what_it_may(session: InProcess) -> None:
    session.call("prefill", {"demonstrations": ROWS, "choose": "adaptive", "shots": 4})
    assert len(session.call("score", {"input": "car", "labels": ["a", "b"]})["tail"]) in (2, 4)


def test_a_long_query_has_fewer_demonstrations_of_its_own(session: InProcess) -> None:
    session.call("prefill", {"demonstrations": ROWS * 9, "choose": "similar", "shots": "all"})
    prefix = session.prompter.prefix
    assert prefix.limit is not None
    long = "red " * (prefix.limit - 60)
    assert 0 < len(prefix.tail(long)) < len(prefix.tail("red"))
    assert len(prefix.question(long)) < prefix.limit
