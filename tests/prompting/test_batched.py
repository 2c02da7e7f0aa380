"""Answers side by side are those that come one after the other."""

from typing import Any

import mlx.core as mx
import pytest

from tests.fakes import CACHES, ByteTokenizer
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import Cancelled
from yofo_mlx.prompting import batched
from yofo_mlx.prompting import context as context_module
from yofo_mlx.prompting.batched import Written, answer_each
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.recipe.schema import Template

TEXTS = ("a", "of some length", "b", "longer than the window of those that slide", "", "cd")


@pytest.fixture(scope="module", params=CACHES)
def model(request: pytest.FixtureRequest) -> Any:
    made = CACHES[request.param]()
    mx.eval(made.parameters())
    return made


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("shots", [0, 3])
def test_answers_side_by_side_are_those_one_after_the_other(
    model: Any, shots: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched, "CHUNK", 16)
    segmenter = Segmenter(ByteTokenizer(), Template())
    alone = Context(model)
    read(alone, segmenter, shots)
    questions = [segmenter.question(text, first=not shots) for text in TEXTS]
    expected = [generate(alone, segmenter, question, max_tokens=6) for question in questions]
    context = Context(model)
    read(context, segmenter, shots)
    tokens = list(context.tokens)
    found = dict(answer_each(context, segmenter, questions, max_tokens=6, at_once=at_once))
    assert [found[place] for place in range(len(TEXTS))] == [
        Written(answer.text, answer.finish == "end") for answer in expected
    ]
    assert context.tokens == tokens  # and it answers as before
    again = generate(context, segmenter, questions[1], max_tokens=6)
    assert again.text == expected[1].text


def read(context: Context, segmenter: Segmenter, shots: int) -> None:
    context.read(segmenter.opening)
    for shot in range(shots):
        context.read(segmenter.question(f"input {shot}", first=not shot))
        context.read(segmenter.answer(f"answer {shot}"))


def test_an_answer_that_ends_leaves_the_others_writing() -> None:
    model = CACHES["plain"]()
    segmenter = Segmenter(ByteTokenizer(), Template())
    context = Context(model)
    read(context, segmenter, 1)
    questions = [segmenter.question(text) for text in TEXTS]
    # A random model never ends by itself: the second token of the first answer now ends any.
    segmenter.stops |= {second_token(context, questions[0])}
    expected = [generate(context, segmenter, one, max_tokens=8) for one in questions]
    assert {answer.finish for answer in expected} >= {"end"}
    found = dict(answer_each(context, segmenter, questions, max_tokens=8, at_once=3))
    assert [found[n].text for n in range(len(TEXTS))] == [one.text for one in expected]
    assert [found[n].is_complete for n in range(len(TEXTS))] == [
        one.finish == "end" for one in expected
    ]


def second_token(context: Context, question: list[int]) -> int:
    """Return the second token that a model writes after a question."""
    with context.aside():
        context.read(question[:-1])
        token = question[-1]
        for _ in range(2):
            token = int(context.logits(mx.array([[token]]), mx.array([0]))[0].argmax())
    return token


@pytest.mark.parametrize("calls", [0, 1, 5])
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_cancel_within_a_group_ends_it_and_leaves_the_context(
    model: Any, at_once: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_module, "PATIENCE", -1.0)  # as if each layer took long
    monkeypatch.setattr(context_module, "_FEW", 0)
    segmenter, context = Segmenter(ByteTokenizer(), Template()), Context(model)
    read(context, segmenter, 2)
    tokens, questions = list(context.tokens), [segmenter.question(text) for text in TEXTS]
    expected, left = generate(context, segmenter, questions[0], max_tokens=4), iter(range(calls))

    def check(_: int) -> None:
        if next(left, None) is None:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(
            answer_each(
                context, segmenter, questions, max_tokens=4, at_once=at_once, on_chunk=check
            )
        )
    assert context.tokens == tokens
    assert generate(context, segmenter, questions[0], max_tokens=4).text == expected.text


def test_finding_out_whether_rows_can_share_is_given_up_between_layers() -> None:
    context = Context(CACHES["plain"]())
    context.read([1, 2, 3])
    calls = iter(range(3))

    def check(_: int) -> None:
        if next(calls, None) is None:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        context.can_pool(check)
    assert next(calls, None) is None and context.can_pool()
