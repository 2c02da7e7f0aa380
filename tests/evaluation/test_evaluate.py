"""Measuring with a model: what counts as right, and how far an answer may go."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from tests.fakes import ByteTokenizer, letters_task, random_llama
from yofo_mlx.episodes.sampler import Demonstration
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation import measure as evaluate
from yofo_mlx.evaluation import metrics
from yofo_mlx.evaluation.measure import compare, evaluate_entry, measure
from yofo_mlx.evaluation.prompts import Prompts, Query, draw_prompts
from yofo_mlx.evaluation.scores import Results
from yofo_mlx.models.base import load_base
from yofo_mlx.prompting.context import Context
from yofo_mlx.recipe.schema import Evaluation, Recipe, TaskSource, Template
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.tasks.task import Example

SEGMENTER = Segmenter(
    ByteTokenizer(), Template(style="plain", input="{input}=", output="{output}\n")
)
ENTRY = TaskEntry(letters_task(), "held_out", "exact", None, 1.0, "")


def greedy(model: Any, question: list[int], count: int) -> list[int]:
    tokens = list(question)
    for _ in range(count):
        tokens.append(int(model(mx.array([tokens]))[0, -1].argmax()))
    return tokens[len(question) :]


def test_an_answer_is_right_only_with_its_end() -> None:
    model, question = random_llama(), [104, 105, 61]
    likely = greedy(model, question, 4)
    other = (likely[3] + 1) % 256

    def is_right(answer: list[int]) -> float:
        query = Query(Example("hi", "?"), Demonstration(question, question, answer))
        ((right, _),) = compare(Context(model), [query], first=True)
        return right

    assert is_right(likely) == is_right(likely[:3]) == 1.0
    assert is_right([*likely[:3], other]) == 0.0
    assert is_right([other, *likely[1:]]) == 0.0


def test_an_answer_is_right_however_it_ends() -> None:
    """Of a base model two line ends may be one token, or it ends everything after the label."""
    model, question = random_llama(), [104, 105, 61]
    likely = greedy(model, question, 2)
    segmenter = Segmenter(ByteTokenizer(), Template(style="plain", output="{output}#\n"))

    def is_right(answer: list[int]) -> float:
        query = Query(Example("hi", "?"), Demonstration(question, question, answer))
        ((right, _),) = compare(Context(model), [query], segmenter.ends_as, first=True)
        return right

    end = segmenter.answer("")
    assert is_right([likely[0], *end]) == 0.0
    segmenter.stops = frozenset({likely[1]})
    assert is_right([likely[0], *end]) == 1.0
    assert is_right([likely[0] ^ 1, *end]) == 0.0
    assert is_right([likely[0], 65, *end]) == 0.0  # ended before the answer was whole


def prompts_of(entry: TaskEntry, max_tokens: int, **settings: Any) -> Prompts:
    evaluation = Evaluation.model_validate({"shots": (0, 2), "queries": 3} | settings)
    return draw_prompts(SEGMENTER, entry, evaluation, max_tokens=max_tokens, seed=0)


@pytest.mark.parametrize("max_tokens", [40, 400])
def test_no_generated_answer_goes_past_its_limit_or_the_longest_prompt(
    monkeypatch: pytest.MonkeyPatch, max_tokens: int
) -> None:
    entry, seen = replace(ENTRY, metric="rouge"), []
    answer_each = evaluate.answer_each

    def watched(
        context: Context, segmenter: Any, asked: Any, *, max_tokens: int, **how: Any
    ) -> Any:
        seen.extend((len(context.tokens) + len(question), max_tokens) for question in asked)
        return answer_each(context, segmenter, asked, max_tokens=max_tokens, **how)

    monkeypatch.setattr(evaluate, "answer_each", watched)
    prompts = prompts_of(entry, max_tokens, max_answer_tokens=30)
    points = list(measure(random_llama(), SEGMENTER, entry, prompts))
    assert [point.shots for point in points] == [0, 2] and len(seen) == 6
    assert all(2 <= limit <= 30 and start + limit <= max_tokens for start, limit in seen)
    assert (min(limit for _, limit in seen) == 30) == (max_tokens == 400)


def test_an_answer_is_right_that_is_one_of_several() -> None:
    model, references = random_llama(), {}
    told = next(measure(model, SEGMENTER, ENTRY, prompts_of(ENTRY, 200), done={}, texts="all"))
    assert told.score == 0.0 and told.beside == {}
    done: dict[str, Results] = {}
    prompts = prompts_of(ENTRY, 200)
    list(measure(model, SEGMENTER, ENTRY, prompts, done=done, texts="all"))
    for query, result in zip(prompts.queries[1:], done["0/2"][1:], strict=True):
        references[query.example] = ("other", str(result.answer))
    for metric, beside in (("exact", {}), ("f1", {"exact_match": 2 / 3})):
        task = replace(ENTRY.task, references=references)
        entry = replace(ENTRY, task=task, metric=metric)
        limit = {"max_answer_tokens": prompts.text_limit}
        points = list(measure(model, SEGMENTER, entry, prompts_of(entry, 200, **limit)))
        assert points[1].beside == {name: pytest.approx(x) for name, x in beside.items()}
        assert points[1].score == pytest.approx(2 / 3) and points[1].loss > 0


class Normalising(ByteTokenizer):
    """A tokenizer that, as some do, leaves out what nobody sees."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return super().encode(text.replace("\u200b", ""), add_special_tokens=add_special_tokens)


def test_an_answer_is_right_that_reads_as_the_expected_one_does_when_it_is_written() -> None:
    template = Template(style="plain", input="{input}=", output="{output}\n")
    model, segmenter = random_llama(), Segmenter(Normalising(), template)
    done: dict[str, Results] = {}
    prompts = prompts_of(ENTRY, 200)
    list(measure(model, segmenter, ENTRY, prompts, done=done, texts="all"))
    spelled = [f"{(text := str(one.answer))[:1]}\u200b{text[1:]}" for one in done["0/2"]]
    references = {
        query.example: (text,) for query, text in zip(prompts.queries, spelled, strict=True)
    }
    entry = replace(ENTRY, task=replace(ENTRY.task, references=references))
    again: dict[str, Results] = {}
    limited = prompts_of(entry, 200, max_answer_tokens=prompts.text_limit)
    *_, last = measure(model, segmenter, entry, limited, done=again)
    assert last.score == 1.0 and [one.answer for one in again["0/2"]] == spelled


def test_the_loss_is_the_same_whether_answers_are_generated_or_compared() -> None:
    model, losses = random_llama(), []
    for metric in ("exact", "rouge"):
        entry = replace(ENTRY, metric=metric)
        points = measure(model, SEGMENTER, entry, prompts_of(entry, 200))
        losses.append([point.loss for point in points])
    assert losses[0] == losses[1]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many queries started from each copy of a context, as they do."""
    found: list[int] = []
    aside = Context.aside

    def counted(self: Context, copies: int = 1, **how: bool) -> Any:
        found.append(copies)
        return aside(self, copies, **how)

    monkeypatch.setattr(Context, "aside", counted)
    return found


def test_answers_are_generated_side_by_side_as_they_are_one_by_one() -> None:
    entry, found = replace(ENTRY, metric="rouge"), []
    prompts = prompts_of(entry, 40, shots=(0, 2), max_answer_tokens=30)  # limits differ
    for at_once in (1, 16):
        done: dict[str, Results] = {}
        list(measure(random_llama(), SEGMENTER, entry, prompts, at_once=at_once, done=done))
        found.append({place: [one.answer for one in some] for place, some in done.items()})
    assert found[0] == found[1] and all(len(texts) == 3 for texts in found[0].values())


def test_draws_are_averaged_over_the_same_queries() -> None:
    model = random_llama()
    entry, seen = ENTRY, []
    for draws in (1, 2):
        prompts = prompts_of(entry, 200, draws=draws, shots=(2,))
        (point,) = measure(model, SEGMENTER, entry, prompts)
        seen.append(point.loss)
    other = replace(prompts, draws=prompts.draws[1:])
    (second,) = measure(model, SEGMENTER, entry, other)
    assert seen[1] == pytest.approx((seen[0] + second.loss) / 2)


def test_a_validation_is_measured_on_its_own_queries() -> None:
    task = replace(letters_task(), valid=(Example("v", "w"),))
    keys = {"model": "tiny", "train": {"steps": 1}, "tasks": ({"source": "x"},)}
    recipe = Recipe.model_validate(keys | {"evaluation": {"shots": (0,), "queries": 5}})
    base: Any = SimpleNamespace(model=random_llama(), tokenizer=ByteTokenizer())
    entry = replace(ENTRY, task=task)
    counts = [evaluate_entry(base, recipe, entry, valid=valid).queries for valid in (True, False)]
    assert counts == [1, 5]


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_no_more_queries_are_asked_at_once_than_there_is_memory_for(
    groups: list[int], at_once: int
) -> None:
    prompts = prompts_of(ENTRY, 200, shots=(2,))
    assert list(measure(random_llama(), SEGMENTER, ENTRY, prompts, at_once=at_once))
    assert groups == {1: [1, 1, 1], 2: [2, 1], 5: [3]}[at_once]


def test_a_plan_of_shared_prompts_is_not_trusted_for_a_model_that_has_to_copy_them(
    groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yofo_mlx.prompting.context.shares", lambda *_: False)
    full = SimpleNamespace(nbytes=mx.get_active_memory())
    monkeypatch.setattr(evaluate, "memory_limit", lambda: full)
    prompts = prompts_of(ENTRY, 200, shots=(2,))
    assert list(measure(random_llama(), SEGMENTER, ENTRY, prompts, at_once=3))
    assert groups == [1, 1, 1]


# The embedded model knows these tasks in the notation that it was pre-trained on.
OWN_NOTATION = Template(style="plain", input=" {input} ~", output=" {output};")


@pytest.fixture(scope="module")
def embedded() -> Any:
    """Return the embedded model, its segmenter, and its held-out tasks by name."""
    base = load_base("tiny")
    base.model.eval()
    tasks = load_tasks([TaskSource(source="tiny:held_out", role="held_out")], 0, Path.cwd())
    return base, Segmenter(base.tokenizer, OWN_NOTATION), {e.task.name: e for e in tasks}


def naive(
    base: Any, segmenter: Segmenter, prompt: list[int], query: Query, shots: int, limit: int
) -> Any:
    """Return what greedy decoding writes without a cache, and the loss of what is expected."""
    question = prompt + (query.tokens.later if shots else query.tokens.first)
    answer, written = query.tokens.answer, []
    while len(written) < limit and not segmenter.is_complete(written):
        logits = base.model(mx.array([question + written]))[0, -1]
        written.append(int(logits.argmax().item()))
    logits = np.array(base.model(mx.array([question + answer]))[0, len(question) - 1 : -1])
    exact = logits.astype(np.float64)
    losses = np.log(np.exp(exact).sum(axis=-1)) - exact[np.arange(len(answer)), answer]
    return segmenter.text(written), losses.mean()


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("new-topic-00", "exact"),
        ("new-cipher-00", "exact"),
        pytest.param("new-themes-00", "f1", marks=pytest.mark.long),
        ("new-sums-00", "number"),
        pytest.param("new-facts-00", "rouge", marks=pytest.mark.long),
    ],
)
def test_scores_and_losses_are_those_of_each_query_asked_alone(
    embedded: Any, name: str, metric: str
) -> None:
    base, segmenter, held_out = embedded
    entry = replace(held_out[name], metric=metric)
    settings = Evaluation(shots=(0, 4, 12), queries=3, draws=2)
    prompts = draw_prompts(segmenter, entry, settings, max_tokens=300, seed=0)
    ways = [
        list(measure(base.model, segmenter, entry, prompts, at_once=at_once))
        for at_once in (1, None)
    ]
    assert any(point.score > 0 for point in ways[0])
    for place, points in enumerate(zip(*ways, strict=True)):
        scores, losses = [], []
        for draw in range(2):
            tokens, lengths = prompts.prefix(draw)
            for query in prompts.queries:
                prompt = tokens[: lengths[place]]
                limit = prompts.answer_limit or 24
                text, loss = naive(base, segmenter, prompt, query, points[0].shots, limit)
                scores.append(
                    metrics.score(
                        text, query.example.output, metric=metric, separator=entry.separator
                    )
                )
                losses.append(loss)
        for point in points:
            assert point.score == pytest.approx(np.mean(scores))
            assert point.loss == pytest.approx(np.mean(losses), rel=1e-4)
