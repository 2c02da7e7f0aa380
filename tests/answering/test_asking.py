"""Labels that can be chosen among, and those that cannot; answers are those of single queries."""

from typing import Any

import numpy as np
import pytest

from tests.fakes import ByteTokenizer, random_llama
from tests.naive_scores import score
from yofo_mlx.answering import asking
from yofo_mlx.answering.asking import Asker, Chooser, Writer, ask
from yofo_mlx.answering.queries import Query
from yofo_mlx.answering.shots import judged_shots
from yofo_mlx.errors import FitError, RecipeError
from yofo_mlx.prompting.blocks import Blocks
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.task import Example

LABELS = ("red", "red wine", "re", "blue")  # three of them begin each other


@pytest.fixture(scope="module")
def model() -> Any:
    return random_llama()


def prefix_of(model: Any, limit: int | None = None, shots: int = 4) -> Prefix:
    prefix = Prefix(Context(model), ByteTokenizer(), Template(), limit)
    prefix.choose([Example(f"x{n}", LABELS[n % 4]) for n in range(shots)], "")
    prefix.fill()
    return prefix


def test_labels_and_probabilities_are_those_of_single_queries(model: Any) -> None:
    prefix = prefix_of(model)
    queries = [Query({}, text) for text in ("a", "some more", "b")]
    found = [*ask(Chooser(prefix, LABELS, runners_up=None), queries)]
    for query, entry in zip(queries, found, strict=True):
        scores = score(prefix.context, prefix.segmenter, prefix.question(query.text), LABELS)
        powers = np.exp([one.logprob for one in scores])
        shares = powers / powers.sum()
        assert entry["label"] == scores[0].label
        assert entry["probability"] == pytest.approx(shares[0], abs=1e-4)
        assert entry["margin"] == pytest.approx(shares[0] - shares[1], abs=1e-4)
        assert [label for label, _ in entry["runners_up"]] == [one.label for one in scores[1:]]
        assert sum(share for _, share in entry["runners_up"]) + entry["probability"] == (
            pytest.approx(1)
        )


def test_a_temperature_changes_probabilities_and_no_label(model: Any) -> None:
    chooser = Chooser(prefix_of(model), LABELS)
    [plain] = ask(chooser, [Query({}, "a")])
    [hot] = ask(chooser.at(5.0), [Query({}, "a")])
    assert hot["label"] == plain["label"]
    assert hot["probability"] < plain["probability"] == hot["plain"]


def test_a_row_that_fails_does_not_stop_the_others(model: Any) -> None:
    chooser = Chooser(prefix_of(model, limit=150), LABELS)
    queries = [Query({}, "a"), Query({}, error="why"), Query({}, "x" * 200), Query({}, "b")]
    found = [*ask(chooser, queries)]
    assert [entry.get("error", "")[:9] for entry in found] == ["", "why", "the query", ""]
    assert "do not fit" in found[2]["error"]
    assert [entry["mark"] for entry in found] == [query.mark for query in queries]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ((), "nothing to choose among"),
        (("one",), "nothing to choose among: the labels are 'one'"),
        (("a", " a "), "reads two labels alike"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(
    model: Any, labels: tuple[str, ...], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        Chooser(prefix_of(model), labels)


def test_of_more_labels_than_are_compared_the_best_is_found(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix, queries = prefix_of(model), [Query({}, text) for text in ("a", "some more", "")]
    compared = [*ask(Chooser(prefix, LABELS), queries)]
    monkeypatch.setattr(asking, "MOST", 3)
    chooser = Chooser(prefix, LABELS)
    found = [*ask(chooser, queries)]
    for query, one, entry in zip(queries[:2], compared, found, strict=False):
        scores = score(prefix.context, prefix.segmenter, prefix.question(query.text), LABELS)
        assert entry["label"] == one["label"]
        assert entry["probability"] == pytest.approx(np.exp(scores[0].logprob), rel=1e-3)
        cells = chooser.cells(entry | {"probability": 1.23456789e-9})
        assert [*cells.values()] == [one["label"], 1.23457e-9, None, None]  # small, but not 0
    assert "empty" in found[2]["error"]


@pytest.mark.parametrize("kind", ["labels", "texts"])
def test_each_query_is_asked_behind_its_own_blocks(model: Any, kind: str) -> None:
    empty = prefix_of(model, shots=0)
    blocks = Blocks(empty.empty, size=2, share=0.2)
    blocks.fill([Example(chr(97 + n // 2) * 6, LABELS[n % 4]) for n in range(20)])
    texts = ["dddddd", "hhhhhh", " ", "dddd", "hhhhhhh"]
    answered: Asker = Writer(empty, 4, blocks)
    if kind == "labels":
        answered = Chooser(empty, LABELS, blocks=blocks)
    found = [*ask(answered, [Query({}, text) for text in texts])]
    assert "empty" in found[2]["error"]
    for text, entry in zip(texts, found, strict=True):
        if text == " ":
            continue
        behind = blocks.behind(text)
        context, segmenter, question = behind.context, behind.segmenter, behind.question(text)
        if kind == "labels":
            assert entry["label"] == score(context, segmenter, question, LABELS)[0].label
        else:
            assert entry["answer"] == generate(context, segmenter, question, max_tokens=4).text


def test_a_label_that_is_longer_than_the_room_is_named(model: Any) -> None:
    with pytest.raises(FitError, match=r"label 'xxx.* has 20. tokens"):
        Chooser(prefix_of(model, limit=150), ("a", "x" * 200))


def test_free_answers_are_those_of_single_queries_each_in_its_own_room(model: Any) -> None:
    prefix = prefix_of(model, limit=150)
    texts = ["a", "some more", "y" * 27, "b"]
    found = [*ask(Writer(prefix, max_tokens=30), [Query({}, text) for text in texts])]
    for text, entry in zip(texts, found, strict=True):
        question = prefix.question(text)
        most = min(30, prefix.free(question) or 0)
        answer = generate(prefix.context, prefix.segmenter, question, max_tokens=most)
        assert (entry["answer"], entry["complete"]) == (answer.text, answer.finish == "end")


def test_demonstrations_are_asked_behind_those_before_them(model: Any) -> None:
    prefix = prefix_of(model, shots=6)
    found = list(judged_shots(prefix, LABELS))
    assert len(found) == 3
    examples = prefix.demonstrations
    for place, (logits, right) in enumerate(found, start=3):
        before = Prefix(Context(model), ByteTokenizer(), Template(), None)
        before.choose(examples[:place], "")
        before.fill()
        question = before.question(examples[place].input)
        scores = score(before.context, before.segmenter, question, LABELS)
        assert logits == pytest.approx([one.logprob for one in scores], abs=1e-3)
        assert scores[right].label == examples[place].output
