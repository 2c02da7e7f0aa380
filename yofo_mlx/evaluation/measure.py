"""Scores and losses by number of shots.

For one task the demonstrations are a growing prefix: they are read once into a context as chat has
it, and at each number of shots all queries start from there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import mlx.core as mx
import numpy as np

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation import channel, metrics
from yofo_mlx.evaluation.labels import labels_of
from yofo_mlx.evaluation.prompts import Prompts, Query, asked_of, prompts_of
from yofo_mlx.evaluation.scores import Point, QueryResult, Results, TaskScores
from yofo_mlx.models.base import Base
from yofo_mlx.prompting.batched import answer_each
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.label_tree import best_each
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.tasks.registry import TaskEntry

EndsAs = Callable[[list[int], list[int]], bool]
Texts = Literal["needed", "most", "all"]
"""At which numbers of shots answers are written out: only where the metric is of texts, also at
the most shots of a task, or at all."""
ROWS_AT_ONCE = 16  # read side by side, where memory does not say otherwise
SAMPLE_TOKENS = 64  # of an answer that is written out to be looked at


@dataclass(frozen=True)
class Sample:
    """A query and its greedy answer, of which a long one is cut."""

    shots: int
    query: Query
    answer: str
    score: float


OnSample = Callable[[Sample], None]


def evaluate_entry(
    base: Base,
    recipe: Recipe,
    entry: TaskEntry,
    *,
    valid: bool = False,
    texts: Texts = "needed",
    check: Callable[[], None] = lambda: None,
    at_once: int | None = None,
    done: dict[str, Results] | None = None,
    on_sample: OnSample | None = None,
) -> TaskScores:
    """Measure a recipe's task with the model as it is; `valid` asks the validation queries.

    `check` is called before each number of shots, and may raise. `at_once` queries are asked at
    most, several of them side by side after the prompt; left out, as many as there is memory for.
    What is in `done` is not asked again; it grows. `on_sample` gets the first query as it is
    answered after the most shots.
    """
    segmenter, prompts = prompts_of(recipe, entry, base.tokenizer, valid=valid)
    labels = labels_of(entry.task) if recipe.evaluation.choice and not valid else ()
    done = {} if done is None else done
    found = measure(
        base.model,
        segmenter,
        entry,
        prompts,
        check,
        at_once,
        done,
        labels=labels,
        texts=texts,
        on_sample=on_sample,
    )
    return replace(asked_of(recipe, entry, prompts), points=tuple(found), results=done)


def measure(
    model: Any,
    segmenter: Segmenter,
    entry: TaskEntry,
    prompts: Prompts,
    check: Callable[[], None] = lambda: None,
    at_once: int | None = None,
    done: dict[str, Results] | None = None,
    *,
    labels: Sequence[str] = (),
    texts: Texts = "needed",
    on_sample: OnSample | None = None,
) -> Iterator[Point]:
    """Yield a task's means at each number of shots; every query weighs the same.

    `done` holds the results by draw and shots, as `0/16`, and takes those that are found. With
    `labels`, the likeliest of them is found as well.
    """
    done = {} if done is None else done
    asker = _Asker(segmenter, entry, prompts, labels, texts, at_once)
    done |= {place: asker.judged(known) for place, known in done.items()}
    for draw in range(len(prompts.draws)):
        left = [n for n in prompts.shots if not asker.is_whole(done.get(f"{draw}/{n}", []), n)]
        for shots, context in growing_prefix(model, prompts, draw, max(left, default=-1)):
            check()
            place, own = f"{draw}/{shots}", prompts.asked(segmenter, draw, shots)
            behind = replace(asker, prompts=replace(prompts, queries=own))
            if shots in left:
                done[place] = behind.complete(context, done.get(place, []), shots)
            if on_sample and draw == 0 and shots == prompts.shots[-1] and prompts.queries:
                on_sample(behind.sample(context, done[place][0], shots))
    for shots in prompts.shots:
        results = [one for draw in range(len(prompts.draws)) for one in done[f"{draw}/{shots}"]]
        queries = prompts.queries * len(prompts.draws)
        point = _point(shots, results, queries, bool(labels))
        yield replace(point, beside=_beside(entry, results, queries))


def _beside(entry: TaskEntry, results: Results, queries: Sequence[Query]) -> dict[str, float]:
    """Return what is told beside the score; nothing where answers were not written out."""
    answers = [one.answer for one in results if one.answer is not None]
    if len(answers) < len(results):
        return {}
    return metrics.beside(
        answers,
        [entry.task.right_answers(query.example) for query in queries],
        metric=entry.metric,
        answer_after=entry.answer_after,
        separator=entry.separator,
    )


def _point(shots: int, results: Results, queries: Sequence[Query], chosen: bool) -> Point:
    score, loss = (float(np.mean([one[place] for one in results])) for place in (0, 1))
    if not chosen:
        return Point(shots, score, loss)
    right = map(is_choice_right, results, (query.example.output for query in queries))
    return Point(shots, score, loss, float(np.mean([*right])))


def is_choice_right(result: QueryResult, expected: str) -> bool:
    """Tell whether the likeliest label is the expected answer, blanks at its ends aside."""
    return result.choice is not None and result.choice.strip() == expected.strip()


@dataclass(frozen=True)
class _Asker:
    """Asks a task's queries what is not known yet of their results."""

    segmenter: Segmenter
    entry: TaskEntry
    prompts: Prompts
    labels: Sequence[str]
    texts: Texts
    at_once: int | None

    def is_whole(self, known: Results, shots: int) -> bool:
        """Tell whether results hold all that is wanted at a number of shots."""
        return (
            len(known) == len(self.prompts.queries)
            and not (self.labels and any(one.choice is None for one in known))
            and not (self._writes(shots) and any(one.answer is None for one in known))
        )

    def judged(self, known: Results) -> Results:
        """Return results with their texts scored anew: they may be older than the metric's code."""
        queries = self.prompts.queries
        if self.prompts.answer_limit is None or len(known) != len(queries):
            return known
        return [
            one if one.answer is None else one._replace(score=self._score(query, one.answer))
            for query, one in zip(queries, known, strict=True)
        ]

    @cached_property
    def _meant(self) -> dict[str, str]:
        """Return the task's answers that read otherwise when a model writes them, by how."""
        task = self.entry.task
        right = (one for query in self.prompts.queries for one in task.right_answers(query.example))
        answers = dict.fromkeys([*labels_of(task), *right])
        said = {self.segmenter.said(answer): answer for answer in answers}
        return {text: one for text, one in said.items() if text not in answers}

    def _score(self, query: Query, answer: str) -> float:
        return metrics.score(
            answer,
            *self.entry.task.right_answers(query.example),
            metric=self.entry.metric,
            answer_after=self.entry.answer_after,
            separator=self.entry.separator,
        )

    def complete(self, context: Context, known: Results, shots: int) -> Results:
        """Return results with all that is wanted; the context stays as it was."""
        first, queries = self.prompts.bulk(shots) == 0, self.prompts.queries
        if len(known) != len(queries):
            known = self._scored(context, first)
        if self.labels and any(one.choice is None for one in known):
            choices = self._choices(context, first)
            known = [one._replace(choice=choices[place]) for place, one in enumerate(known)]
        if self._writes(shots) and any(one.answer is None for one in known):
            known = [
                one if one.answer is not None else one._replace(answer=text)
                for one, text in zip(known, self._written(context, known, first), strict=True)
            ]
        return known

    def _writes(self, shots: int) -> bool:
        return self.texts == "all" or (self.texts == "most" and shots == self.prompts.shots[-1])

    def _scored(self, context: Context, first: bool) -> Results:
        """Return the score and the loss of each query, and its answer where that is needed."""
        queries, ends_as = self.prompts.queries, self.segmenter.ends_as
        if self.segmenter.channel:
            labels, at_once = labels_of(self.entry.task), self._at_once(context)
            asked = (context, self.segmenter, queries, labels)
            return [*channel.results(*asked, first=first, at_once=at_once)]
        at_once = self._at_once(context)
        results = compare(context, queries, ends_as, first=first, at_once=at_once)
        if self.prompts.answer_limit is None:
            return [QueryResult(score, loss) for score, loss in results]
        answers = self._generated(context, queries, first)
        return [
            QueryResult(self._score(query, answer), loss, answer=answer)
            for query, answer, (_, loss) in zip(queries, answers, results, strict=True)
        ]

    def _written(self, context: Context, known: Results, first: bool) -> Iterator[str]:
        """Yield the texts of answers; one that was compared and is right is the expected one."""
        compared = self.prompts.answer_limit is None
        pairs = [*zip(self.prompts.queries, known, strict=True)]
        right = [compared and one.score == 1.0 for _, one in pairs]
        asked = [query for (query, _), is_known in zip(pairs, right, strict=True) if not is_known]
        written = iter(self._generated(context, asked, first))
        for (query, _), is_known in zip(pairs, right, strict=True):
            yield query.example.output if is_known else next(written)

    def sample(self, context: Context, known: QueryResult, shots: int) -> Sample:
        """Return the first query with its answer, which is known where it is the right one."""
        query, answer = self.prompts.queries[0], known.answer
        if answer is None and known.score == 1.0:
            answer = query.example.output
        if answer is None:
            [answer] = self._generated(context, [query], shots == 0, SAMPLE_TOKENS)
        return Sample(shots, query, answer, known.score)

    def _generated(
        self, context: Context, queries: Sequence[Query], first: bool, most: int | None = None
    ) -> list[str]:
        """Write answers out, several at a time; none goes past the longest prompt."""
        by_limit: dict[int, dict[int, list[int]]] = {}
        for place, query in enumerate(queries):
            question = query.question(first=first)
            room = self.prompts.max_tokens - len(context.tokens) - len(question)
            limit = min(self.prompts.text_limit, room, most or room)
            by_limit.setdefault(limit, {})[place] = question
        texts: dict[int, str] = {}
        for limit, asked in by_limit.items():
            given, places = (context, self.segmenter, [*asked.values()]), [*asked]
            found = answer_each(*given, max_tokens=limit, at_once=self._at_once(context))
            texts |= {places[at]: one.text for at, one in found}
        in_order = (texts[place] for place in range(len(queries)))
        return [self._meant.get(text, text) for text in in_order]

    def _choices(self, context: Context, first: bool) -> dict[int, str]:
        """Return the likeliest label of each query, by its place."""
        at_once = self._at_once(context)
        questions = [query.question(first=first) for query in self.prompts.queries]
        found = best_each(context, self.segmenter, questions, self.labels, at_once)
        return {place: best.label for place, best in found}

    def _at_once(self, context: Context) -> int:
        """Return how many to ask side by side: as planned, if what is to be shared can be."""
        at_once = self.at_once or ROWS_AT_ONCE
        if self.at_once is None or context.is_plain:
            at_once = min(at_once, _copies_that_fit(context))
        return min(at_once, ROWS_AT_ONCE)


def growing_prefix(
    model: Any, prompts: Prompts, draw: int, most: int | None = None
) -> Iterator[tuple[int, Context]]:
    """Yield each number of shots, up to `most`, with the context of its demonstrations.

    It is the same context each time.
    """
    tokens, lengths = prompts.prefix(draw)
    context = Context(model)
    for shots, length in zip(prompts.shots, lengths, strict=True):
        if most is not None and shots > most:
            return
        context.read(tokens[len(context.tokens) : length])
        yield shots, context


def compare(
    context: Context,
    queries: Sequence[Query],
    ends_as: EndsAs = lambda tokens, answer: False,
    *,
    first: bool,
    at_once: int | None = None,
) -> list[tuple[float, float]]:
    """Return (is the greedy answer the expected one, loss) of each query, several at a time.

    Feeding the expected answer and asking whether every one of its tokens is the most likely one
    gives what greedy decoding would give, up to the first that is not. `ends_as` tells whether that
    one ends the answer in another way.
    """
    asked = [(query.question(first=first), query.tokens.answer) for query in queries]
    readings = read_answers(context, asked, at_once=at_once or _copies_that_fit(context))
    return [
        (float(_is_right(reading.likeliest, answer, ends_as)), float(reading.losses.mean()))
        for reading, (_, answer) in zip(readings, asked, strict=True)
    ]


def _copies_that_fit(context: Context) -> int:
    """Return how many copies of a context there is memory for, each with as much to work with."""
    free = memory_limit().nbytes - mx.get_active_memory()
    least = ROWS_AT_ONCE if context.can_pool() else 1  # those share the context
    return max(least, free // max(1, 2 * context.nbytes))


def _is_right(found: list[int], expected: list[int], ends_as: EndsAs) -> bool:
    """Tell whether the likeliest tokens, each after the expected ones, write the answer."""
    pairs = zip(found, expected, strict=True)
    differing = next((place for place, (a, b) in enumerate(pairs) if a != b), None)
    return differing is None or ends_as([*expected[:differing], found[differing]], expected)
