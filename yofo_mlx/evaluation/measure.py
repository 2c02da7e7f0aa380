"""Scores and losses by number of shots.

For one task the demonstrations are a growing prefix: their keys and values are computed once, and
at each number of shots all queries start from a copy of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import make_prompt_cache

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation import metrics
from yofo_mlx.evaluation.prompts import Prompts, Query, asked_of, prompts_of
from yofo_mlx.evaluation.scores import Point, TaskScores
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.models.base import Base
from yofo_mlx.models.logits import row_logits
from yofo_mlx.models.prompt_cache import size_in_bytes, starting_from
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.tasks.registry import TaskEntry

PREFILL_TOKENS = 1024
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
        for shots, length, cache in growing_prefix(model, prompts, draw):
            check()
            place, room = f"{draw}/{shots}", prompts.max_tokens - length
            if len(done.get(place, ())) != len(prompts.queries):
                first = shots == 0
                done[place] = _ask(model, segmenter, entry, prompts, cache, room, first, at_once)
            found[shots] += done[place]
    for shots, results in found.items():
        score, loss = (float(np.mean(column)) for column in zip(*results, strict=True))
        yield Point(shots, score, loss)


def _ask(
    model: Any,
    segmenter: Segmenter,
    entry: TaskEntry,
    prompts: Prompts,
    cache: list[Any],
    room: int,
    first: bool,
    at_once: int | None,
) -> Results:
    """Ask all queries after the cached demonstrations; `room`: the tokens that are left."""
    results = compare(
        model, cache, prompts.queries, segmenter.ends_as, first=first, at_once=at_once
    )
    if prompts.answer_limit is None:
        return results
    answers = _answers(model, cache, segmenter, prompts, room, first=first)
    judge = partial(
        metrics.score,
        metric=entry.metric,
        answer_after=entry.answer_after,
        separator=entry.separator,
    )
    scores = map(judge, answers, (query.example.output for query in prompts.queries))
    return [(score, loss) for score, (_, loss) in zip(scores, results, strict=True)]


def growing_prefix(model: Any, prompts: Prompts, draw: int) -> Iterator[tuple[int, int, list[Any]]]:
    """Yield each number of shots with its tokens and the cache of its demonstrations."""
    tokens, lengths = prompts.prefix(draw)
    cache, done = make_prompt_cache(model), 0
    for shots, length in zip(prompts.shots, lengths, strict=True):
        done = prefill(model, cache, tokens, done, length)
        yield shots, length, cache


def prefill(model: Any, cache: list[Any], tokens: list[int], start: int, end: int) -> int:
    """Feed tokens[start:end] to the cache in bounded pieces; return `end`."""
    for place in range(start, end, PREFILL_TOKENS):
        piece = mx.array(tokens[place : min(place + PREFILL_TOKENS, end)])[None]
        row_logits(model, piece, mx.array([0]), cache)
        mx.eval([layer.state for layer in cache])
    return end


def compare(
    model: Any,
    cache: list[Any],
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
    results = []
    at_once = at_once or _copies_that_fit(cache)
    for start in range(0, len(queries), at_once):
        group = queries[start : start + at_once]
        with starting_from(cache, len(group)) as copies:
            results += _compare_group(model, copies, group, ends_as, first)
    return results


def _copies_that_fit(cache: list[Any]) -> int:
    """Return how many copies of a cache there is memory for, each with as much to work with."""
    free = memory_limit().nbytes - mx.get_active_memory()
    return max(1, free // max(1, 2 * size_in_bytes(cache)))


def _compare_group(
    model: Any, cache: list[Any], queries: Sequence[Query], ends_as: EndsAs, first: bool
) -> list[tuple[float, float]]:
    sequences, spans = [], []
    for query in queries:
        question = query.tokens.first if first else query.tokens.later
        sequences.append(question + query.tokens.answer)
        spans.append((len(question) - 1, len(query.tokens.answer)))
    width = max(map(len, sequences))
    tokens = np.array([sequence + [0] * (width - len(sequence)) for sequence in sequences])
    rows = np.concatenate([np.arange(n) + s + i * width for i, (s, n) in enumerate(spans)])
    expected = np.concatenate([query.tokens.answer for query in queries])
    logits = row_logits(model, mx.array(tokens), mx.array(rows), cache)
    losses = np.array(token_losses(logits, mx.array(expected)))
    found: Any = logits.argmax(axis=-1).tolist()
    ends = np.cumsum([length for _, length in spans])
    results = []
    for query, end in zip(queries, ends, strict=True):
        part = slice(end - len(query.tokens.answer), end)
        right = _is_right(found[part], query.tokens.answer, ends_as)
        results.append((float(right), float(losses[part].mean())))
    return results


def _is_right(found: list[int], expected: list[int], ends_as: EndsAs) -> bool:
    """Tell whether the likeliest tokens, each after the expected ones, write the answer."""
    pairs = zip(found, expected, strict=True)
    differing = next((place for place, (a, b) in enumerate(pairs) if a != b), None)
    return differing is None or ends_as([*expected[:differing], found[differing]], expected)


def _answers(
    model: Any,
    cache: list[Any],
    segmenter: Segmenter,
    prompts: Prompts,
    room: int,
    *,
    first: bool,
) -> Iterator[str]:
    """Generate an answer to each query; none goes past the longest prompt."""
    assert prompts.answer_limit is not None
    for query in prompts.queries:
        question = query.tokens.first if first else query.tokens.later
        limit = min(prompts.answer_limit, room - len(question))
        with starting_from(cache) as start:
            yield generate(model, start, question, segmenter, limit)


def generate(
    model: Any, cache: list[Any], question: list[int], segmenter: Segmenter, max_tokens: int
) -> str:
    """Decode greedily after the cached demonstrations until the answer ends."""
    found: list[int] = []
    piece = question
    while len(found) < max_tokens and not segmenter.is_complete(found):
        logits = row_logits(model, mx.array(piece)[None], mx.array([len(piece) - 1]), cache)
        piece = np.array(logits.argmax(axis=-1)).tolist()
        found += piece
    return segmenter.text(found)
