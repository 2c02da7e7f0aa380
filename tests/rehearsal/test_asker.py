"""What the model is asked: verdicts as one after the other, nothing twice."""

from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import pytest

from tests.fakes import ByteTokenizer, random_llama
from tests.naive_scores import score
from yofo_mlx.models.base import Base
from yofo_mlx.prompting.context import Context
from yofo_mlx.recipe.schema import Template
from yofo_mlx.rehearsal import asker as asker_module
from yofo_mlx.rehearsal.asker import NO, VERDICT, YES, Asker
from yofo_mlx.rehearsal.store import Store
from yofo_mlx.tasks.task import Example, Task

TASK = Task("t", "other", (), instruction="Say it.")
PAIRS = [(Example(f"input {n}", f"gold {n}"), f"answer {n}" * n) for n in range(1, 6)]


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    model = random_llama()
    mx.eval(model.parameters())
    base = Base("m", tmp_path, model, ByteTokenizer(chat=True), {})
    with Store(tmp_path / "answers.jsonl") as store:
        yield Asker(base, Template(), store, None)


def test_verdicts_side_by_side_are_the_log_odds_of_each(asker: Asker) -> None:
    found = asker.approvals(TASK, PAIRS, "")
    segmenter = asker.segmenter(VERDICT)
    context = Context(asker._base.model)
    context.read(segmenter.opening)
    for (example, answer), odds in zip(PAIRS, found, strict=True):
        text = (
            f"Say it.\n\nTask: {example.input}\n\nRight answer: {example.output}\n\n"
            f"Given answer: {answer}\n\nIs the given answer right, Yes or No?"
        )
        question = segmenter.question(text, first=True)
        scores = score(context, segmenter, question, [YES, NO])
        logprob = {one.label: one.logprob for one in scores}
        assert odds == pytest.approx(logprob[YES] - logprob[NO], abs=1e-3)


def test_nothing_is_asked_twice(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = asker.shown(TASK, [Example("a", "b"), Example("c", "d")], 500)
    assert shown.shots == 2
    answers = asker.answers(shown, ["x", "y", "x"], 4, "")
    assert answers[0] == answers[2]
    verdicts = asker.approvals(TASK, PAIRS, "")
    said = asker.paraphrases(TASK, [one for one, _ in PAIRS], 3, "")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    for name in ("answer_each", "read_answers"):
        monkeypatch.setattr(asker_module, name, refuse)
    assert asker.answers(shown, ["y", "x"], 4, "") == [answers[1], answers[0]]
    assert asker.approvals(TASK, PAIRS, "") == verdicts
    assert asker.paraphrases(TASK, [one for one, _ in PAIRS], 3, "") == said
    with pytest.raises(AssertionError, match="asked again"):  # another limit, another answer
        asker.answers(shown, ["x"], 5, "")
    other = asker.shown(TASK, [Example("c", "d"), Example("a", "b")], 500)
    with pytest.raises(AssertionError, match="asked again"):  # behind other demonstrations
        asker.answers(other, ["x"], 4, "")
