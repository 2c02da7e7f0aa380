"""As many demonstrations as a query asks for: more of them while its answer is not certain.

After AdapShot (2605.03644). An answer is as uncertain as the entropies of its tokens, summed along
the greedy answer. Below which sum it is certain enough is fitted on the demonstrations themselves.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import mlx.core as mx

from yofo_mlx.prompting.context import Context, OnChunk, ignore
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.retrieval import SimilarTail
from yofo_mlx.system.progress import Progress
from yofo_mlx.tasks.task import Example

LOOKED_AT = 8  # tokens of an answer
FITTED_ON = 16  # demonstrations that are asked as if they were queries
FEWEST, MOST = 2, 64  # shots of a query

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


@dataclass
class AdaptiveTail:
    """Gives each query as many similar demonstrations as the entropy of its answer asks for."""

    prefix: Prefix
    similar: SimilarTail
    threshold: float = 0.0

    def fit(self, examples: Sequence[Example], on_chunk: OnChunk = ignore) -> None:
        """Set the threshold by demonstrations, each asked without itself."""
        readings = []
        asked = [one for one in examples[:FITTED_ON] if one.input.strip()]
        with Progress("demonstrations asked", len(asked)) as progress:
            for example in asked:
                expected = self.prefix.segmenter.answer(example.output)[:LOOKED_AT]
                steps = self._steps(example.input, example.input)
                found = [self._sketch(example.input, tail, on_chunk) for tail in steps]
                readings.append([(one.entropy, one.tokens == expected) for one in found])
                progress.tick()
        self.threshold = best_threshold([one for one in readings if one])

    def tail(self, query: str, on_chunk: OnChunk = ignore) -> Sequence[Example]:
        """Return them, the most similar last."""
        chosen: Sequence[Example] = ()
        for chosen in self._steps(query):
            if self._sketch(query, chosen, on_chunk).entropy < self.threshold:
                break
        return chosen

    def _steps(self, query: str, without: str | None = None) -> Iterator[Sequence[Example]]:
        """Yield the 2, 4, 8, ... most similar ones, up to all that fit."""
        nearest = self.similar.nearest(query, self.similar.shots or MOST, without)
        tail = self.prefix.fitting(query, LOOKED_AT, nearest[::-1])
        count = FEWEST
        while tail and count < 2 * len(tail):
            yield tail[-count:]
            count *= 2

    def _sketch(self, query: str, tail: Sequence[Example], on_chunk: OnChunk) -> Sketch:
        question = self.prefix.question(query, LOOKED_AT, tail)
        is_complete = self.prefix.segmenter.is_complete
        return sketch(self.prefix.context, question, is_complete, on_chunk)
