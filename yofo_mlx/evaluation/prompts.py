"""What an evaluation asks of a task: queries, and the demonstrations that grow before them.

The same queries are asked at every number of shots, in every draw of the demonstrations, of the
base model and of the adapter. What is too long is passed over and counted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np

from yofo_mlx.episodes.sampler import Demonstration, Episode, tokenize
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation.metrics import needs_text
from yofo_mlx.evaluation.scores import TaskScores
from yofo_mlx.prompting.choosing import division_of
from yofo_mlx.prompting.retrieval import Similarity, SimilarTail
from yofo_mlx.prompting.selection import Room, balanced
from yofo_mlx.prompting.tails import lengths_of
from yofo_mlx.recipe.schema import Evaluation, Recipe
from yofo_mlx.recipe.ways import Way
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example

MARGIN = 16  # tokens that a generated answer may have beyond half as many again as the longest


@dataclass(frozen=True)
class Query:
    """A query with its expected answer, as text and as tokens."""

    example: Example
    tokens: Demonstration

    def question(self, *, first: bool) -> list[int]:
        """Return its tokens, behind demonstrations or as the first thing that is said."""
        return self.tokens.first if first else self.tokens.later

    def length(self, shots: int) -> int:
        """Return the tokens of query and answer behind so many demonstrations."""
        return len(self.question(first=shots == 0)) + len(self.tokens.answer)


@dataclass(frozen=True)
class Prompts:
    """An episode of demonstrations for each draw, and the queries that are asked after it."""

    opening: list[int]
    draws: list[Episode]
    queries: list[Query]
    shots: tuple[int, ...]  # the numbers of shots at which every query fits
    max_tokens: int
    too_long: int  # demonstrations that no prompt holds
    passed_over: int = 0  # queries that do not fit
    answer_limit: int | None = None  # of generated tokens; None where nothing is generated
    cut: int = 0  # expected answers that are longer than the limit
    reason: str = ""  # why nothing can be asked
    way: Way | None = None  # how demonstrations are chosen; None: drawn
    orders: tuple[tuple[Example, ...], ...] = ()  # in each draw, of all to choose from

    @property
    def text_limit(self) -> int:
        """Return the most tokens of an answer that is written out, though no metric needs it."""
        return self.answer_limit or _answer_room(self.queries)

    def prefix(self, draw: int) -> tuple[list[int], list[int]]:
        """Return a draw's tokens, and how many of them each number of shots takes."""
        lengths = _lengths(self.opening, self.draws[draw])
        return self.draws[draw].tokens, [lengths[self.bulk(shots)] for shots in self.shots]

    def bulk(self, shots: int) -> int:
        """Return how many of so many shots all queries see."""
        return division_of(self.way or "balanced", shots).bulk or 0

    def asked(self, segmenter: Segmenter, draw: int, shots: int) -> list[Query]:
        """Return the queries, each behind the demonstrations of its own."""
        bulk, most = self.bulk(shots), shots - self.bulk(shots)
        if not most:
            return self.queries
        before = _lengths(self.opening, self.draws[draw])[bulk]
        length, widest = lengths_of(segmenter), self.max_tokens - len(self.opening)
        there = (one for one in self.orders[draw] if length(one) <= widest)
        shown = frozenset(islice(there, bulk))
        similarity = _similarity(self.orders[draw])
        asked = []
        for query in self.queries:
            room = self.max_tokens - before - query.length(1)
            similar = SimilarTail(similarity, Room(None), length, most, shown)
            taken, tail = 0, list[Example]()
            for example in similar.nearest(query.example.input, most):
                taken += length(example)
                if taken <= room:
                    tail.insert(0, example)
            asked.append(_behind(segmenter, query, tail))
        return asked


def draw_prompts(
    segmenter: Segmenter, entry: TaskEntry, settings: Evaluation, *, max_tokens: int, seed: int
) -> Prompts:
    """Draw queries and, for each draw, shuffled demonstrations; no input is in both."""
    task = entry.task
    asked = list(dict.fromkeys(task.test or task.valid))
    inputs = {example.input for example in asked}
    shown = [example for example in dict.fromkeys(task.train) if example.input not in inputs]
    opening, most = segmenter.opening, max(settings.shots)
    orders = [
        balanced(shown, seed + draw)
        if settings.choose
        else [*_shuffled(shown, seed, task.name, draw + 1)]
        for draw in range(settings.draws)
    ]
    drawn = [_episode(segmenter, task.name, order, most, max_tokens) for order in orders]
    draws, too_long = [found for found, _ in drawn], max(count for _, count in drawn)
    taken = [_lengths(opening, draw) for draw in draws]
    rooms = {  # tokens left for a query and its answer, whatever was drawn
        shots: max_tokens - max(lengths[shots] for lengths in taken)
        for shots in settings.shots
        if all(shots < len(lengths) for lengths in taken)
    }
    fewest = settings.shots[0]
    nothing = Prompts(opening, draws, [], (), max_tokens, too_long)
    nothing = replace(nothing, way=settings.choose, orders=tuple(map(tuple, orders)))
    if not asked or fewest not in rooms:
        return replace(nothing, reason=_why_not(len(asked), len(shown), fewest, max_tokens))
    order = _shuffled(asked, seed, task.name)
    tokenized = (Query(example, tokenize(segmenter, example)) for example in order)
    queries, passed_over = _first(
        tokenized, entry.queries or settings.queries, fewest, rooms[fewest]
    )
    if not queries:
        behind = f" behind {plural(fewest, 'demonstration')}" if fewest else ""
        reason = f"none of its {len(asked):,} queries fits {max_tokens:,} tokens{behind}"
        return replace(nothing, passed_over=passed_over, reason=reason)
    shots, kept = _common(queries, rooms)
    passed_over += len(queries) - len(kept)
    limit, cut = _answer_limit(segmenter, entry, kept, settings.max_answer_tokens)
    return replace(
        nothing, queries=kept, shots=shots, passed_over=passed_over, answer_limit=limit, cut=cut
    )


@lru_cache(maxsize=2)
def _similarity(examples: tuple[Example, ...]) -> Similarity:
    return Similarity(examples)


def _behind(segmenter: Segmenter, query: Query, tail: Sequence[Example]) -> Query:
    """Return a query that begins with demonstrations of its own."""
    first, later = list[int](), list[int]()
    for example in tail:
        shot = tokenize(segmenter, example)
        first += [*(shot.later if first else shot.first), *shot.answer]
        later += [*shot.later, *shot.answer]
    tokens = query.tokens
    first += tokens.later if tail else tokens.first
    return replace(query, tokens=Demonstration(first, later + tokens.later, tokens.answer))


def _first(queries: Iterable[Query], count: int, shots: int, room: int) -> tuple[list[Query], int]:
    """Return the first so many queries that fit the room, and how many were passed over."""
    found: list[Query] = []
    passed_over = 0
    for query in queries:
        if query.length(shots) > room:
            passed_over += 1
            continue
        found.append(query)
        if len(found) == count:
            break
    return found, passed_over


def _common(queries: list[Query], rooms: dict[int, int]) -> tuple[tuple[int, ...], list[Query]]:
    """Return the numbers of shots that at least half of the queries fit, and those queries."""
    fitting = {
        shots: [query for query in queries if query.length(shots) <= room]
        for shots, room in rooms.items()
    }
    most = max(shots for shots, some in fitting.items() if 2 * len(some) >= len(queries))
    return tuple(shots for shots in rooms if shots <= most), fitting[most]


def _answer_limit(
    segmenter: Segmenter, entry: TaskEntry, queries: list[Query], given: int | None
) -> tuple[int | None, int]:
    """Return the most tokens an answer may have, and how many expected answers it cuts."""
    several = any(query.example in entry.task.references for query in queries)
    if not needs_text(entry.metric, entry.answer_after, several=several):
        return None, 0
    if given is None:
        return _answer_room(queries), 0
    answers = (query.tokens.answer for query in queries)
    return given, sum(segmenter.text(a[:given]) != segmenter.text(a) for a in answers)


def _answer_room(queries: Sequence[Query]) -> int:
    """Return tokens for answers half as long again as the longest expected one, and some more."""
    longest = max(len(query.tokens.answer) for query in queries)
    return longest + longest // 2 + MARGIN


def _why_not(queries: int, examples: int, fewest: int, max_tokens: int) -> str:
    if not queries:
        return "it has no query: its source has neither test nor valid rows"
    if examples < fewest:
        return f"it has {examples:,} demonstrations, and evaluation.shots begins with {fewest:,}"
    return f"not even {fewest:,} demonstrations fit {max_tokens:,} tokens"


def _episode(
    segmenter: Segmenter, task: str, examples: Iterable[Example], most: int, max_tokens: int
) -> tuple[Episode, int]:
    """Return an episode of as many demonstrations as are shown, and how many fit no prompt."""
    episode, too_long = Episode(task, list(segmenter.opening)), 0
    for example in examples:
        if len(episode.answers) == most or len(episode.tokens) > max_tokens:
            break
        shot = tokenize(segmenter, example)
        if len(segmenter.opening) + shot.alone > max_tokens:
            too_long += 1
        elif not episode.add(shot, max_tokens):
            break
    return episode, too_long


def _lengths(opening: Sequence[int], episode: Episode) -> list[int]:
    """Return how many of an episode's tokens each number of shots takes, from none on."""
    return [len(opening), *(end for _, end in episode.answers)]


def _shuffled(examples: Sequence[Example], seed: int, *key: str | int) -> Iterator[Example]:
    """Yield examples in an order that depends on the seed and the key alone."""
    words = [byte for part in key for byte in str(part).encode("utf-8", "surrogatepass")]
    order = np.random.default_rng([seed, *words]).permutation(len(examples))
    return (examples[index] for index in order)


def prompts_of(
    recipe: Recipe, entry: TaskEntry, tokenizer: Any, *, valid: bool = False
) -> tuple[Segmenter, Prompts]:
    """Draw what a recipe asks of a task; `valid` asks the validation queries."""
    task = entry.task
    if valid:
        entry = replace(entry, task=replace(task, test=task.valid or task.test))
    segmenter = Segmenter(tokenizer, recipe.template, task.instruction)
    prompts = draw_prompts(
        segmenter,
        entry,
        recipe.evaluation,
        max_tokens=recipe.longest_prompt,
        seed=recipe.seed,
    )
    return segmenter, prompts


def asked_of(recipe: Recipe, entry: TaskEntry, prompts: Prompts) -> TaskScores:
    """Return what is asked of a task, before it has any score."""
    return TaskScores(
        task=entry.task.name,
        family=entry.task.family,
        kind=entry.task.kind,
        metric=entry.metric,
        queries=len(prompts.queries),
        passed_over=prompts.passed_over,
        too_long=prompts.too_long,
        max_tokens=prompts.max_tokens,
        draws=recipe.evaluation.draws,
        answer_limit=prompts.answer_limit,
        cut=prompts.cut,
        reason=prompts.reason,
    )
