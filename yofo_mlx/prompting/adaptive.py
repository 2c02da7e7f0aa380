"""As many demonstrations as a query asks for: more of them while its answer is not certain.

After AdapShot (2605.03644). An answer is as uncertain as the entropies of its tokens, summed along
the greedy answer. Below which sum it is certain enough is fitted on the demonstrations themselves.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from yofo_mlx.prompting.context import Context, OnChunk, ignore
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.questions import log_softmax, write_each
from yofo_mlx.prompting.retrieval import SimilarTail
from yofo_mlx.system.progress import Progress
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.task import Example

LOOKED_AT = 8  # tokens of an answer
FITTED_ON = 8  # demonstrations that are asked as if they were queries
FEWEST, MOST = 2, 64  # shots of a query
FITTED_MOST = 16  # shots up to which the threshold is fitted: each number is read anew

Readings = Sequence[tuple[float, bool]]
"""A query's entropy at each number of shots, and whether its answer was right."""


@dataclass(frozen=True)
class Sketch:
    """The beginning of a greedy answer, and the sum of its tokens' entropies, in nats."""

    tokens: list[int]
    entropy: float


def sketch(
    context: Context,
    question: Sequence[int],
    is_complete: Callable[[list[int]], bool],
    on_chunk: OnChunk = ignore,
) -> Sketch:
    """Begin an answer; the context stays as it was."""
    tokens, entropy = list[int](), 0.0
    with context.aside():
        context.read(question[:-1], on_chunk)
        last = question[-1]
        while len(tokens) < LOOKED_AT and not is_complete(tokens):
            logits = context.logits(mx.array([[last]]), mx.array([0]))[0]  # (V,)
            logprobs = logits - mx.logsumexp(logits)
            entropy -= float(mx.exp(logprobs) @ logprobs)
            last = int(mx.argmax(logits))
            tokens.append(last)
    return Sketch(tokens, entropy)


def sketch_each(
    context: Context,
    questions: Sequence[Sequence[int]],
    is_complete: Callable[[list[int]], bool],
    on_chunk: OnChunk = ignore,
) -> Iterator[tuple[int, Sketch]]:
    """Yield the place of each question with the beginning of its answer, read side by side."""
    if len(questions) == 1 or not context.can_pool(on_chunk):
        for place, question in enumerate(questions):
            yield place, sketch(context, question, is_complete, on_chunk)
        return
    begun: dict[int, Sketch] = {}

    def take(places: Sequence[int], logits: mx.array) -> Iterator[int | None]:
        logprobs = log_softmax(logits)
        sums = np.array((mx.exp(logprobs) * logprobs).sum(axis=-1)).tolist()
        tokens = np.array(logits.argmax(axis=-1)).tolist()
        for place, more, token in zip(places, sums, tokens, strict=True):
            before = begun.get(place, Sketch([], 0.0))
            one = begun[place] = Sketch([*before.tokens, token], before.entropy - more)
            is_over = len(one.tokens) == LOOKED_AT or is_complete(one.tokens)
            yield None if is_over else token

    for place in write_each(context, questions, len(questions), take, on_chunk):
        yield place, begun.pop(place)


def best_threshold(readings: Sequence[Readings]) -> float:
    """Return the entropy below which to stop, for the most right answers with the fewest shots.

    Each query is answered at the first number of shots with less entropy, else at the last one.
    """
    entropies = sorted({entropy for one in readings for entropy, _ in one})

    def right(threshold: float) -> int:
        return sum(
            next((is_right for entropy, is_right in one if entropy < threshold), one[-1][1])
            for one in readings
        )

    return max([0.0, *entropies[1:], math.inf], key=lambda one: (right(one), one))


def _certain_enough(threshold: float) -> str:
    if threshold == math.inf:
        return f"every answer is certain enough behind {FEWEST} demonstrations"
    if threshold == 0:
        return "no answer is certain enough before all have been shown"
    return f"an answer is certain enough below {threshold:.2f} nats"


@dataclass
class AdaptiveTail:
    """Gives each query as many similar demonstrations as the entropy of its answer asks for."""

    prefix: Prefix
    similar: SimilarTail
    threshold: float = 0.0
    note: str = ""
    """What the threshold is, and by what."""

    def fit(self, examples: Sequence[Example], on_chunk: OnChunk = ignore) -> None:
        """Set the threshold by demonstrations, each asked without itself."""
        segmenter, most = self.prefix.segmenter, min(self.similar.shots or FITTED_MOST, FITTED_MOST)
        asked: list[tuple[Example, list[int]]] = []
        for example in (one for one in examples[:FITTED_ON] if one.input.strip()):
            for tail in self._steps(example.input, most, without=example.input):
                question = self.prefix.question(example.input, LOOKED_AT, tail)
                asked.append((example, question))
        questions = [question for _, question in asked]
        found: dict[int, Sketch] = {}
        with Progress("demonstrations asked", len(asked)) as progress:
            for place, one in sketch_each(
                self.prefix.context, questions, segmenter.is_complete, on_chunk
            ):
                found[place] = one
                progress.tick()
        readings: dict[Example, list[tuple[float, bool]]] = {}
        for place, (example, _) in enumerate(asked):
            expected = segmenter.answer(example.output)[:LOOKED_AT]
            is_right = found[place].tokens == expected
            readings.setdefault(example, []).append((found[place].entropy, is_right))
        self.threshold = best_threshold([*readings.values()])
        self.note = (
            f"{_certain_enough(self.threshold)}: fitted on"
            f" {plural(len(readings), 'demonstration')}, each behind at most {most} others"
            f" ({sum(map(len, questions)):,} tokens read)"
        )

    def tail(self, query: str, on_chunk: OnChunk = ignore) -> Sequence[Example]:
        """Return them, the most similar last."""
        chosen: Sequence[Example] = ()
        for chosen in self._steps(query, self.similar.shots or MOST):
            if self._sketch(query, chosen, on_chunk).entropy < self.threshold:
                break
        return chosen

    def _steps(
        self, query: str, most: int, without: str | None = None
    ) -> Iterator[Sequence[Example]]:
        """Yield the 2, 4, 8, ... most similar ones, up to so many, or all that fit."""
        nearest = self.similar.nearest(query, most, without)
        tail = self.prefix.fitting(query, LOOKED_AT, nearest[::-1])
        count = FEWEST
        while tail and count < 2 * len(tail):
            yield tail[-count:]
            count *= 2

    def _sketch(self, query: str, tail: Sequence[Example], on_chunk: OnChunk) -> Sketch:
        question = self.prefix.question(query, LOOKED_AT, tail)
        is_complete = self.prefix.segmenter.is_complete
        return sketch(self.prefix.context, question, is_complete, on_chunk)
