"""Scores and losses by number of shots.

For one task the demonstrations are a growing prefix: they are read once into a context as chat has
it, and at each number of shots all queries start from there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation import metrics
from yofo_mlx.evaluation.prompts import Prompts, Query, asked_of, prompts_of
from yofo_mlx.evaluation.scores import Point, TaskScores
from yofo_mlx.models.base import Base
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.tasks.registry import TaskEntry

EndsAs = Callable[[list[int], list[int]], bool]
Results = list[tuple[float, float]]  # score and loss of each query


def evaluate_entry(
    base: Base,
    recipe: Recipe,
    entry: TaskEntry,
    *,
    valid: bool = False,
    check: Callable[[], None] = lambda: None,
    at_once: int | None = None,
    done: dict[str, Results] | None = None,
) -> TaskScores:
    """Measure a recipe's task with the model as it is; `valid` asks the validation queries.

    `check` is called before each number of shots, and may raise. `at_once` queries are asked at
    most, several of them each after a copy of the prompt; left out, as many as there is memory for.
    What is in `done` is not asked again; it grows.
    """
    segmenter, prompts = prompts_of(recipe, entry, base.tokenizer, valid=valid)
    points = tuple(measure(base.model, segmenter, entry, prompts, check, at_once, done))
    return replace(asked_of(recipe, entry, prompts), points=points)


def measure(
    model: Any,
    segmenter: Segmenter,
    entry: TaskEntry,
    prompts: Prompts,
    check: Callable[[], None] = lambda: None,
    at_once: int | None = None,
    done: dict[str, Results] | None = None,
) -> Iterator[Point]:
    """Yield a task's means at each number of shots; every query weighs the same.

    `done` holds the results by draw and shots, as `0/16`, and takes those that are found.
    """
    done = {} if done is None else done
    found: dict[int, Results] = {shots: [] for shots in prompts.shots}
    for draw in range(len(prompts.draws)):
        for shots, context in growing_prefix(model, prompts, draw):
            check()
            place = f"{draw}/{shots}"
            if len(done.get(place, ())) != len(prompts.queries):
                done[place] = _ask(context, segmenter, entry, prompts, shots == 0, at_once)
            found[shots] += done[place]
    for shots, results in found.items():
        score, loss = (float(np.mean(column)) for column in zip(*results, strict=True))
        yield Point(shots, score, loss)


def _ask(
    context: Context,
    segmenter: Segmenter,
    entry: TaskEntry,
    prompts: Prompts,
    first: bool,
    at_once: int | None,
) -> Results:
    """Ask all queries after the demonstrations in the context, which stays as it was."""
    results = compare(context, prompts.queries, segmenter.ends_as, first=first, at_once=at_once)
    if prompts.answer_limit is None:
        return results
    answers = _answers(context, segmenter, prompts, first=first)
    judge = partial(
        metrics.score,
        metric=entry.metric,
        answer_after=entry.answer_after,
        separator=entry.separator,
    )
    scores = map(judge, answers, (query.example.output for query in prompts.queries))
    return [(score, loss) for score, (_, loss) in zip(scores, results, strict=True)]


def growing_prefix(model: Any, prompts: Prompts, draw: int) -> Iterator[tuple[int, Context]]:
    """Yield each number of shots with the context of its demonstrations, the same one each time."""
    tokens, lengths = prompts.prefix(draw)
    context = Context(model)
    for shots, length in zip(prompts.shots, lengths, strict=True):
        context.read(tokens[len(context.tokens) : length])
        yield shots, context


def compare(
    context: Context,
    queries: Sequence[Query],
    ends_as: EndsAs = lambda tokens, answer: False,
    *,
    first: bool,
    at_once: int | None = None,
) -> Results:
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
    return max(1, free // max(1, 2 * context.nbytes))


def _is_right(found: list[int], expected: list[int], ends_as: EndsAs) -> bool:
    """Tell whether the likeliest tokens, each after the expected ones, write the answer."""
    pairs = zip(found, expected, strict=True)
    differing = next((place for place, (a, b) in enumerate(pairs) if a != b), None)
    return differing is None or ends_as([*expected[:differing], found[differing]], expected)


def _answers(
    context: Context, segmenter: Segmenter, prompts: Prompts, *, first: bool
) -> Iterator[str]:
    """Generate an answer to each query; none goes past the longest prompt."""
    assert prompts.answer_limit is not None
    room = prompts.max_tokens - len(context.tokens)
    for query in prompts.queries:
        question = query.question(first=first)
        limit = min(prompts.answer_limit, room - len(question))
        yield generate(context, segmenter, question, max_tokens=limit).text
