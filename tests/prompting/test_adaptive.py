import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from tests.fakes import CACHES, ByteTokenizer, random_llama
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import Cancelled
from yofo_mlx.prompting.adaptive import (
    FITTED_MOST,
    FITTED_ON,
    AdaptiveTail,
    best_threshold,
    sketch,
    sketch_each,
)
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.retrieval import Similarity, SimilarTail
from yofo_mlx.prompting.selection import Room
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.task import Example

READINGS = st.lists(
    st.lists(st.tuples(st.floats(0, 9), st.booleans()), min_size=1, max_size=4), max_size=6
)


def stopped(threshold: float, readings: list[list[tuple[float, bool]]]) -> tuple[int, int]:
    """Right answers, and how many steps were taken."""
    right = steps = 0
    for one in readings:
        for place, (entropy, is_right) in enumerate(one):
            if entropy < threshold or place == len(one) - 1:
                right, steps = right + is_right, steps + place
                break
    return right, steps


@draws(100)
@given(READINGS)
def test_no_other_threshold_is_right_more_often_or_as_often_with_fewer_shots(
    readings: list[list[tuple[float, bool]]],
) -> None:
    right, steps = stopped(best_threshold(readings), readings)
    everything = {entropy for one in readings for entropy, _ in one} | {0.0, math.inf}
    for other in everything:
        found, taken = stopped(other, readings)
        assert (found, -taken) <= (right, -steps)


def test_an_answer_that_more_shots_spoil_is_given_early() -> None:
    assert best_threshold([[(2.0, True), (1.0, False)]]) == math.inf


def test_an_answer_that_needs_more_shots_waits_for_them() -> None:
    assert best_threshold([[(2.0, False), (0.5, True)], [(0.4, True), (0.3, True)]]) <= 2.0


@pytest.mark.parametrize("kind", CACHES)
def test_answers_begun_side_by_side_are_those_begun_alone(kind: str) -> None:
    segmenter = Segmenter(ByteTokenizer(), Template())
    context = Context(CACHES[kind]())
    context.read([*segmenter.question("first", first=True), *segmenter.answer("a")])
    questions = [segmenter.question(text) for text in ("one", "another question", "o", "two")]

    def is_complete(tokens: list[int]) -> bool:
        return bool(tokens) and sum(tokens) % 3 == 0

    before = list(context.tokens)
    found = dict(sketch_each(context, questions, is_complete))
    assert context.tokens == before
    for place, question in enumerate(questions):
        alone = sketch(context, question, is_complete)
        assert found[place].tokens == alone.tokens
        assert found[place].entropy == pytest.approx(alone.entropy, abs=1e-3)


def test_fitting_reads_few_shots_and_tells_by_what() -> None:
    examples = [Example(f"{word} {n}", word) for n in range(10) for word in ("a", "b", "c")]
    prefix = Prefix(Context(random_llama()), ByteTokenizer(), Template(), None)
    prefix.fill()
    room = Room(None)
    adaptive = AdaptiveTail(prefix, SimilarTail(Similarity(examples), room, lambda _: 1))
    asked: list[int] = []
    steps = adaptive._steps

    def counted(*given: Any, **named: Any) -> Any:
        for tail in steps(*given, **named):
            asked.append(len(tail))
            yield tail

    adaptive._steps = counted  # type: ignore[method-assign]
    adaptive.fit(examples)
    assert asked == [2, 4, 8, 16] * FITTED_ON
    assert max(asked) == FITTED_MOST
    assert "fitted on 8 demonstrations, each behind at most 16 others" in adaptive.note

    def stop(_: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        adaptive.fit(examples, stop)
