"""Accuracy and loss by number of shots.

For one task the demonstrations are a growing prefix: their keys and values are computed once, and
at each number of shots all queries start from a copy of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import make_prompt_cache

from yofo_mlx import metrics
from yofo_mlx.caches import size_in_bytes, starting_from
from yofo_mlx.episodes import Demonstration, tokenize
from yofo_mlx.machine import memory_limit
from yofo_mlx.models import Base
from yofo_mlx.objective import token_losses
from yofo_mlx.recipe import Evaluation, Recipe
from yofo_mlx.rows import row_logits
from yofo_mlx.segments import Segmenter
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example, Task

PREFILL_TOKENS = 1024


@dataclass(frozen=True)
class Measure:
    """What one task scored at one number of shots."""

    task: str
    shots: int
    accuracy: float  # mean of the task's metric
    loss: float  # nats, mean over answers of each answer's mean
    queries: int


@dataclass(frozen=True)
class Query:
    """A query with its expected answer, as text and as tokens."""

    example: Example
    tokens: Demonstration


def evaluate_entry(
    base: Base,
    recipe: Recipe,
    entry: TaskEntry,
    *,
    valid: bool = False,
    check: Callable[[], None] = lambda: None,
    at_once: int | None = None,
) -> Iterator[Measure]:
    """Measure a recipe's task with the model as it is; `valid` asks the validation queries.

    `check` is called before each number of shots, and may raise. `at_once` queries are asked at
    most, several of them each after a copy of the prompt; left out, as many as there is memory for.
    """
    task = entry.task
    return evaluate_task(
        base.model,
        Segmenter(base.tokenizer, recipe.template, task.instruction),
        with_queries(task, valid=valid),
        recipe.evaluation,
        max_tokens=recipe.evaluation.max_tokens or recipe.episodes.max_tokens,
        seed=recipe.seed,
        metric=entry.metric,
        answer_after=entry.answer_after,
        separator=entry.separator,
        check=check,
        at_once=at_once,
    )


def with_queries(task: Task, *, valid: bool) -> Task:
    """Return the task with the queries that are asked: those of a validation, or of the test."""
    return replace(task, test=task.valid or task.test) if valid else task


def evaluate_task(
    model: Any,
    segmenter: Segmenter,
    task: Task,
    settings: Evaluation,
    *,
    max_tokens: int,
    seed: int,
    metric: str = "exact",
    answer_after: str | None = None,
    separator: str | None = None,
    check: Callable[[], None] = lambda: None,
    at_once: int | None = None,
) -> Iterator[Measure]:
    """Measure a task at each number of shots that fits `max_tokens`."""
    judge = partial(metrics.score, metric=metric, answer_after=answer_after, separator=separator)
    scores: dict[int, list[tuple[float, float]]] = {}
    for draw in range(settings.draws):
        prompt = draw_prompt(segmenter, task, settings, seed=seed, draw=draw)
        for shots, cache in growing_prefix(model, prompt, settings.shots, max_tokens):
            check()
            first = shots == 0
            if metric == "exact" and answer_after is None:
                results = compare(model, cache, prompt.queries, first=first, at_once=at_once)
            else:
                results = [
                    answer(model, cache, query, segmenter, settings, judge, first=first)
                    for query in prompt.queries
                ]
            scores.setdefault(shots, []).extend(results)
    for shots, results in scores.items():
        accuracy, loss = (float(np.mean(column)) for column in zip(*results, strict=True))
        yield Measure(task.name, shots, accuracy, loss, len(results))


@dataclass(frozen=True)
class Prompt:
    """Demonstrations in the order of their appearance, and the queries that follow them."""

    opening: list[int]
    demonstrations: list[Demonstration]
    queries: list[Query]


def draw_prompt(
    segmenter: Segmenter, task: Task, settings: Evaluation, *, seed: int, draw: int = 0
) -> Prompt:
    """Draw queries (the same in every draw) and shuffled demonstrations, no input in both."""
    asked = list(dict.fromkeys(task.test or task.valid))
    order = _generator(seed, task.name).permutation(len(asked))[: settings.queries]
    queries = [asked[index] for index in order]
    inputs = {query.input for query in queries}
    shown = [example for example in dict.fromkeys(task.train) if example.input not in inputs]
    shuffled = _generator(seed, task.name, draw + 1).permutation(len(shown))
    demonstrations = [shown[index] for index in shuffled[: max(settings.shots)]]
    return Prompt(
        opening=segmenter.opening,
        demonstrations=[tokenize(segmenter, example) for example in demonstrations],
        queries=[Query(example, tokenize(segmenter, example)) for example in queries],
    )


def growing_prefix(
    model: Any, prompt: Prompt, shots: Sequence[int], max_tokens: int
) -> Iterator[tuple[int, list[Any]]]:
    """Yield each number of shots that fits with the cache of its demonstrations."""
    room = max_tokens - max(
        max(len(q.tokens.first), len(q.tokens.later)) + len(q.tokens.answer) for q in prompt.queries
    )
    pieces = [prompt.opening]
    for index, shot in enumerate(prompt.demonstrations):
        pieces.append((shot.later if index else shot.first) + shot.answer)
    lengths = np.cumsum([len(piece) for piece in pieces])
    tokens = [token for piece in pieces for token in piece]
    cache, done = make_prompt_cache(model), 0
    for count in shots:
        if count >= len(pieces) or lengths[count] > room:
            return
        done = prefill(model, cache, tokens, done, int(lengths[count]))
        yield count, cache


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
    *,
    first: bool,
    at_once: int | None = None,
) -> list[tuple[float, float]]:
    """Return (is the greedy answer the expected one, loss) of each query, several at a time.

    Feeding the expected answer and asking whether every one of its tokens, the end included, is
    the most likely one gives what greedy decoding would give.
    """
    results = []
    at_once = at_once or _copies_that_fit(cache)
    for start in range(0, len(queries), at_once):
        group = queries[start : start + at_once]
        with starting_from(cache, len(group)) as copies:
            results += _compare_group(model, copies, group, first=first)
    return results


def _copies_that_fit(cache: list[Any]) -> int:
    """Return how many copies of a cache there is memory for, each with as much to work with."""
    free = memory_limit().nbytes - mx.get_active_memory()
    return max(1, free // max(1, 2 * size_in_bytes(cache)))


def _compare_group(
    model: Any, cache: list[Any], queries: Sequence[Query], *, first: bool
) -> list[tuple[float, float]]:
    sequences, spans = [], []
    for query in queries:
        question = query.tokens.first if first else query.tokens.later
        sequences.append(question + query.tokens.answer)
        spans.append((len(question) - 1, len(query.tokens.answer)))
    width = max(map(len, sequences))
    tokens = np.array([sequence + [0] * (width - len(sequence)) for sequence in sequences])
    rows = np.concatenate([np.arange(n) + s + i * width for i, (s, n) in enumerate(spans)])
    expected = mx.array(np.concatenate([query.tokens.answer for query in queries]))
    logits = row_logits(model, mx.array(tokens), mx.array(rows), cache)
    losses = np.array(token_losses(logits, expected))
    right = np.array(logits.argmax(axis=-1) == expected)
    ends = np.cumsum([length for _, length in spans])
    parts = [slice(end - length, end) for end, (_, length) in zip(ends, spans, strict=True)]
    return [(float(right[part].all()), float(losses[part].mean())) for part in parts]


def answer(
    model: Any,
    cache: list[Any],
    query: Query,
    segmenter: Segmenter,
    settings: Evaluation,
    judge: Callable[[str, str], float],
    *,
    first: bool,
) -> tuple[float, float]:
    """Return (score of the generated answer, loss of the expected one) of one query."""
    ((_, loss),) = compare(model, cache, [query], first=first)
    question = query.tokens.first if first else query.tokens.later
    with starting_from(cache) as start:
        text = generate(model, start, question, segmenter, settings.max_answer_tokens)
    return judge(text, query.example.output), loss


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


def mean_by_shots(measures: Sequence[Measure]) -> list[dict[str, Any]]:
    """Average tasks at each number of shots."""
    rows = []
    for shots in sorted({measure.shots for measure in measures}):
        group = [measure for measure in measures if measure.shots == shots]
        rows.append(
            {
                "shots": shots,
                "accuracy": float(np.mean([measure.accuracy for measure in group])),
                "loss": float(np.mean([measure.loss for measure in group])),
                "tasks": len(group),
            }
        )
    return rows


def _generator(seed: int, *key: str | int) -> np.random.Generator:
    """Return a generator that depends on the seed and the key alone."""
    words = [byte for part in key for byte in str(part).encode()]
    return np.random.default_rng([seed, *words])
