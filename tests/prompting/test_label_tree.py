"""The likeliest label and all of them, found by the tree, are what reading each label gives."""

from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_map

from tests.draws import draws
from tests.fakes import CACHES, ByteTokenizer, random_llama
from tests.naive_scores import score
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import Cancelled
from yofo_mlx.prompting import questions as questions_module
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.label_tree import LabelTree, best_each, distribution_each
from yofo_mlx.prompting.scoring import LabelScore
from yofo_mlx.recipe.schema import Template

SEGMENTER = Segmenter(
    ByteTokenizer(), Template(style="plain", input="{input}=", output="{output}\n")
)
LABELS = [
    "transfer",
    "transfer fee",
    "balance",
    "b",
    "x",
    "ba",
    "card lost",
    "trans",
    "b",
    "x" * 40,
]
TEXTS = ["card", "what is this then?", "a", "a longer question " * 3, "b"]


def context_of(model: Any) -> Context:
    context = Context(model)
    context.read(SEGMENTER.opening + SEGMENTER.question("one", first=True) + SEGMENTER.answer("b"))
    return context


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions_module, "CHUNK", 16)


@pytest.mark.parametrize("at_once", [1, 3, 16])
@pytest.mark.parametrize("kind", CACHES)
def test_the_tree_finds_what_reading_each_label_finds(kind: str, at_once: int) -> None:
    context = context_of(CACHES[kind]())
    asked = [SEGMENTER.question(text) for text in TEXTS]
    expected = [score(context, SEGMENTER, question, LABELS) for question in asked]
    tokens = list(context.tokens)
    best = dict(best_each(context, SEGMENTER, asked, LABELS, at_once))
    whole = dict(distribution_each(context, SEGMENTER, asked, LABELS, at_once))
    for place, scores in enumerate(expected):
        assert best[place].label == scores[0].label
        assert best[place].logprob == pytest.approx(scores[0].logprob, abs=1e-3)
        assert [one.label for one in whole[place]] == [one.label for one in scores]
        for one, other in zip(whole[place], scores, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
    assert context.tokens == tokens
    assert score(context, SEGMENTER, asked[0], LABELS) == expected[0]


@pytest.fixture(scope="module")
def undecided() -> Context:
    """Return a context of a model that finds everything equally likely."""
    model = random_llama()
    model.update(tree_map(mx.zeros_like, model.parameters()))
    return context_of(model)


@draws(12)
@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=12))
def test_of_equally_likely_labels_the_first_is_best(undecided: Context, labels: list[str]) -> None:
    asked = [SEGMENTER.question(text) for text in TEXTS[:2]]
    expected = score(undecided, SEGMENTER, asked[0], labels)
    for at_once in (1, 8):
        found = [one for _, one in sorted(best_each(undecided, SEGMENTER, asked, labels, at_once))]
        assert [one.label for one in found] == [expected[0].label] * 2
        whole = dict(distribution_each(undecided, SEGMENTER, asked, labels, at_once))
        assert [one.label for one in whole[0]] == [one.label for one in expected]


def test_a_tree_holds_each_label_once_and_shared_beginnings_once() -> None:
    tree = LabelTree.of(SEGMENTER, LABELS)
    assert tree.labels == tuple(dict.fromkeys(LABELS))
    found, nodes = {}, [tree.root]
    for node in nodes:
        nodes += node.children
        found |= {place: list(node.tokens) for place in node.labels}
        assert all(child.tokens[: child.start] == node.tokens for child in node.children)
        assert len(set(node.firsts.tolist())) == len(node.children)
    assert found == {place: SEGMENTER.answer(label) for place, label in enumerate(tree.labels)}


def decided() -> Context:
    """Return a context of a model that prefers some tokens by far."""
    model = random_llama()
    model.lm_head.weight *= 30
    return context_of(model)


def test_labels_that_cannot_win_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    context, read = decided(), []
    labels = [f"{letter}{number}" for letter in "abcdefgh" for number in range(100, 130)]
    judge = questions_module._judge

    def counted(rows: Any, lead: Any, branches: Any, on_chunk: Any) -> Any:
        read.append(len(branches))
        return judge(rows, lead, branches, on_chunk)

    monkeypatch.setattr(questions_module, "_judge", counted)
    asked = [SEGMENTER.question(text) for text in TEXTS]
    assert len(dict(best_each(context, SEGMENTER, asked, labels, 8))) == len(TEXTS)
    assert sum(read) < len(TEXTS) * len(labels) / 4


@pytest.mark.parametrize("kept", [0, 2**28])
def test_long_labels_are_read_in_pieces_that_are_kept_where_there_is_room(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions_module, "KEPT", kept)
    monkeypatch.setattr("yofo_mlx.prompting.label_tree.PASS", 1)
    context = context_of(random_llama())
    asked = [SEGMENTER.question(text) for text in TEXTS[:3]]
    labels = ["x" * 20 + end for end in ("", "y", "yz" * 9, "zzz")] + ["b", "ba" * 7]
    whole = dict(distribution_each(context, SEGMENTER, asked, labels, 2))
    best = dict(best_each(context, SEGMENTER, asked, labels, 2))
    for place, question in enumerate(asked):
        expected = score(context, SEGMENTER, question, labels)
        assert [one.label for one in whole[place]] == [one.label for one in expected]
        found = [one.logprob for one in whole[place]]
        assert found == pytest.approx([one.logprob for one in expected], abs=1e-3)
        assert best[place].label == expected[0].label


def test_thousands_of_labels_are_searched_at_once() -> None:
    labels = [f"label {number}" for number in range(5_000)]
    context = decided()
    ((_, best),) = best_each(context, SEGMENTER, [SEGMENTER.question("x")], labels, 8)
    assert best.label in set(labels)


def test_labels_that_each_begin_the_next_make_a_tree_of_their_number() -> None:
    labels = ["a" * length for length in range(1, 200)]
    level, depth = [LabelTree.of(SEGMENTER, labels).root], 0
    while level := [child for node in level for child in node.children]:
        depth += 1
    assert depth == len(labels)


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_a_cancelled_search_leaves_the_context_as_it_was(calls: int) -> None:
    context = context_of(random_llama())
    asked = [SEGMENTER.question(text) for text in TEXTS]
    expected, left = score(context, SEGMENTER, asked[0], LABELS), iter(range(calls))

    def check(_: int) -> None:
        if next(left, None) is None:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(best_each(context, SEGMENTER, asked, LABELS, 4, check))
    assert score(context, SEGMENTER, asked[0], LABELS) == expected


def test_no_question_gives_no_answer_and_one_label_is_the_best() -> None:
    context = context_of(random_llama())
    assert list(best_each(context, SEGMENTER, [], LABELS, 4)) == []
    ((_, only),) = best_each(context, SEGMENTER, [SEGMENTER.question("x")], ["b"], 4)
    assert only == LabelScore("b", only.logprob)
