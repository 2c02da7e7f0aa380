"""Labels chosen among the given ones, and what is kept of each query."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fakes import ByteTokenizer, letters_task, random_llama
from tests.naive_scores import score
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation import metrics
from yofo_mlx.evaluation.labels import labels_of
from yofo_mlx.evaluation.measure import evaluate_entry, growing_prefix, measure
from yofo_mlx.evaluation.prompts import draw_prompts
from yofo_mlx.evaluation.scores import Point, QueryResult, TaskScores, summarize
from yofo_mlx.evaluation.stored import paired, paired_choices, scores_of
from yofo_mlx.models.base import load_base
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.recipe.schema import Evaluation, Recipe, TaskSource, Template
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.tasks.task import Example, Task

SEGMENTER = Segmenter(
    ByteTokenizer(), Template(style="plain", input="{input}=", output="{output}\n")
)
LETTERS = ("aa", "bb", "cc", "dd", "uu")
ENTRY = TaskEntry(replace(letters_task(), labels=LETTERS), "held_out", "exact", None, 1.0, "")
LABELS = ["transfer", "transfer fee", "balance", "b", "x", "exchange rate", "card lost", "bill"]
RECIPE = Recipe.model_validate(
    {"model": "tiny", "train": {"steps": 1}, "tasks": ({"source": "x"},)}
    | {"evaluation": {"shots": (0, 2), "queries": 2, "draws": 2}, "episodes": {"max_tokens": 300}}
)


@pytest.fixture(scope="module")
def embedded() -> Any:
    """Return the embedded model, a task in its own notation, and the prompts of it."""
    base = load_base("tiny")
    base.model.eval()
    notation = Template(style="plain", input=" {input} ~", output=" {output};")
    segmenter = Segmenter(base.tokenizer, notation)
    (entry,) = load_tasks([TaskSource(source="tiny:new-topic-00", role="held_out")], 0, Path())
    settings = Evaluation(shots=(2, 12), queries=4)
    prompts = draw_prompts(segmenter, entry, settings, max_tokens=300, seed=0)
    *_, (_, context) = growing_prefix(base.model, prompts, 0)
    return base.model, segmenter, entry, prompts, context


def base_of(model: Any) -> Any:
    return SimpleNamespace(model=model, tokenizer=ByteTokenizer())


def test_a_choice_is_kept_for_each_query_and_counted_where_it_is_the_expected_label() -> None:
    base = base_of(random_llama())
    recipe = RECIPE.model_copy(
        update={"evaluation": RECIPE.evaluation.model_copy(update={"choice": True})}
    )
    plain, chosen = evaluate_entry(base, RECIPE, ENTRY), evaluate_entry(base, recipe, ENTRY)
    assert [point.choice for point in plain.points] == [None, None]
    assert [replace(point, choice=None) for point in chosen.points] == [*plain.points]
    assert list(chosen.results) == ["0/0", "0/2", "1/0", "1/2"]
    segmenter = Segmenter(base.tokenizer, recipe.template, "")
    prompts = draw_prompts(segmenter, ENTRY, recipe.evaluation, max_tokens=300, seed=0)
    labels = labels_of(ENTRY.task)
    assert labels == LETTERS
    right = {0: 0, 2: 0}
    for draw in (0, 1):
        for shots, context in growing_prefix(base.model, prompts, draw):
            for query, one in zip(prompts.queries, chosen.results[f"{draw}/{shots}"], strict=True):
                question = query.question(first=shots == 0)
                best = score(context, segmenter, question, labels)[0].label
                assert one.choice == best
                right[shots] += best == query.example.output
    assert [point.choice for point in chosen.points] == [right[0] / 4, right[2] / 4]


def test_a_validation_ranks_no_labels() -> None:
    recipe = RECIPE.model_copy(update={"evaluation": Evaluation(shots=(0,), choice=True)})
    found = evaluate_entry(base_of(random_llama()), recipe, ENTRY, valid=True)
    assert found.points[0].choice is None


@pytest.mark.parametrize("family", ["multilabel", "qa", "summarization", "math", "other"])
def test_a_task_whose_answer_is_no_single_label_has_nothing_to_choose_among(family: Any) -> None:
    labels = ("a", "b")
    assert labels_of(Task("t", family, (Example("x", "a"),), labels=labels)) == ()
    assert labels_of(Task("t", "nli", (Example("x", "a"),), labels=labels)) == labels
    found = labels_of(Task("t", "nli", (Example("x", "b"),), test=(Example("y", "a"),)))
    assert found == ("a", "b")


@pytest.mark.parametrize("metric", ["exact", "rouge"])
def test_what_is_known_is_not_asked_again_and_what_is_missing_is_added(
    monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    entry = replace(ENTRY, metric=metric)
    prompts = draw_prompts(SEGMENTER, entry, RECIPE.evaluation, max_tokens=300, seed=0)
    model, labels = random_llama(), labels_of(entry.task)
    whole: dict[str, Any] = {}
    points = list(measure(model, SEGMENTER, entry, prompts, done=whole, labels=labels, texts="all"))
    bare: dict[str, Any] = {}
    list(measure(model, SEGMENTER, entry, prompts, done=bare))
    assert bare != whole
    assert list(measure(model, SEGMENTER, entry, prompts, done=dict(bare), labels=labels)) == points
    list(measure(model, SEGMENTER, entry, prompts, done=bare, labels=labels, texts="all"))
    assert bare == whole

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(Context, "read", never)
    again = measure(model, SEGMENTER, entry, prompts, done=whole, labels=labels, texts="all")
    assert list(again) == points


def test_a_known_answer_is_scored_as_the_metric_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """What base models answered outlives the code that scored it."""
    for metric, anew in (("rouge", 0.25), ("exact", None)):
        entry = replace(ENTRY, metric=metric)
        prompts = draw_prompts(SEGMENTER, entry, RECIPE.evaluation, max_tokens=300, seed=0)
        done: dict[str, Any] = {}
        before = list(measure(random_llama(), SEGMENTER, entry, prompts, done=done))
        monkeypatch.setitem(metrics.METRICS, "rouge", lambda answer, expected: 0.25)
        after = measure(random_llama(), SEGMENTER, entry, prompts, done=done)
        assert [one.score for one in after] == [
            one.score if anew is None else anew for one in before
        ]
        monkeypatch.undo()


def test_the_text_of_a_right_answer_is_what_would_be_generated(embedded: Any) -> None:
    """It is not generated: compared and right means that greedy decoding writes it."""
    model, segmenter, entry, prompts, _ = embedded
    done: dict[str, Any] = {}
    list(measure(model, segmenter, entry, prompts, done=done, texts="all"))
    for shots, context in growing_prefix(model, prompts, 0):
        for query, one in zip(prompts.queries, done[f"0/{shots}"], strict=True):
            question, limit = query.question(first=False), prompts.text_limit
            text = generate(context, segmenter, question, max_tokens=limit).text
            assert one.answer == text
            assert (one.score == 1.0) == (text == query.example.output)
    assert {one.score for some in done.values() for one in some} == {0.0, 1.0}  # both were met


def test_texts_are_written_at_the_most_shots_only_unless_all_are_wanted() -> None:
    base = base_of(random_llama())
    for texts, written in (("needed", set()), ("most", {"0/2", "1/2"})):
        found = evaluate_entry(base, RECIPE, ENTRY, texts=texts).results  # type: ignore[arg-type]
        assert {place for place in found if found[place][0].answer is not None} == written


def test_scores_come_back_from_a_file_as_they_were_and_old_files_can_be_read() -> None:
    base = base_of(random_llama())
    found = evaluate_entry(base, RECIPE, ENTRY, texts="most")
    facts = json.loads(json.dumps(asdict(found)))
    assert scores_of(facts) == found
    del facts["results"]
    for point in facts["points"]:
        del point["choice"]
    assert scores_of(facts) == replace(found, results={})
    damaged = scores_of(facts | {"results": {"0/0": 7}})
    assert damaged.results == {}


def test_choices_are_a_metric_of_their_own_over_the_tasks_that_have_them() -> None:
    one = TaskScores("a", "nli", "", "exact", 4, 0, 0, 99, 1, None, 0, "")
    with_labels = replace(one, points=(Point(0, 0.25, 1.0, 0.75), Point(2, 0.5, 1.0, 1.0)))
    without = replace(one, task="b", family="other", points=(Point(0, 0.0, 1.0),))
    scores = {"base": [with_labels, without], "adapter": [with_labels, without]}
    (choice,) = paired_choices(scores)
    assert [row["base"] for row in choice.rows] == [0.75, 1.0]
    exact, chosen = summarize([*paired(scores), choice])
    assert (exact["metric"], exact["of"]) == ("exact", 2)
    assert (chosen["metric"], chosen["of"]) == ("choice", 1)
    assert chosen["by_shots"][1]["adapter"] == 1.0


def test_a_task_may_have_a_number_of_queries_of_its_own() -> None:
    base = base_of(random_llama())
    own = evaluate_entry(base, RECIPE, replace(ENTRY, queries=7))
    assert own.queries == 7 and len(own.results["0/0"]) == 7
    assert evaluate_entry(base, RECIPE, ENTRY).queries == 2


def test_a_result_of_before_has_score_and_loss_alone() -> None:
    assert QueryResult(1.0, 0.5) == (1.0, 0.5, None, None)
