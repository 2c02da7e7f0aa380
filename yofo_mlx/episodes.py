"""Episodes: one task's demonstrations as one token sequence, with the places of its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yofo_mlx.errors import DataError
from yofo_mlx.recipe import Episodes
from yofo_mlx.segments import Segmenter
from yofo_mlx.tasks.task import Example


@dataclass(frozen=True)
class Episode:
    """Tokens of n demonstrations; `answers` are the (start, end) of each answer's tokens."""

    task: str
    tokens: list[int]
    answers: list[tuple[int, int]]

    @property
    def shots(self) -> int:
        """Demonstrations before the last answer."""
        return len(self.answers) - 1


@dataclass(frozen=True)
class Demonstration:
    """A tokenised example: its question as the first one and as a later one, and its answer."""

    first: list[int]
    later: list[int]
    answer: list[int]

    @property
    def alone(self) -> int:
        """Return the most tokens it takes, first or later."""
        return max(len(self.first), len(self.later)) + len(self.answer)

    def __len__(self) -> int:
        return len(self.later) + len(self.answer)


@dataclass(frozen=True)
class Pool:
    """A task's demonstrations, ready to be drawn."""

    task: str
    opening: list[int]
    demonstrations: list[Demonstration]
    left_out: int  # examples that do not fit an episode even alone
    weight: float = 1.0


def tokenize(segmenter: Segmenter, example: Example) -> Demonstration:
    """Tokenise one example."""
    later = segmenter.question(example.input)
    first = segmenter.question(example.input, first=True) if segmenter.first_differs else later
    return Demonstration(first, later, segmenter.answer(example.output))


def make_pool(
    task: str,
    examples: Sequence[Example],
    segmenter: Segmenter,
    max_tokens: int,
    weight: float = 1.0,
) -> Pool:
    """Tokenise a task's distinct examples; those too long for an episode are left out."""
    opening = segmenter.opening
    everything = [tokenize(segmenter, example) for example in dict.fromkeys(examples)]
    room = max_tokens - len(opening)
    fitting = [d for d in everything if d.alone <= room]
    if not fitting:
        shortest = min((len(d) for d in everything), default=0) + len(opening)
        raise DataError(
            f"task {task!r}: not one of {len(everything)} demonstrations fits an episode of"
            f" {max_tokens} tokens (the shortest needs {shortest})",
            "raise episodes.max_tokens, or shorten the examples",
        )
    return Pool(task, opening, fitting, len(everything) - len(fitting), weight)


def compose(pool: Pool, order: Sequence[int], max_tokens: int) -> Episode:
    """Join demonstrations in the given order until the next one does not fit whole."""
    tokens = list(pool.opening)
    answers: list[tuple[int, int]] = []
    for index in order:
        demonstration = pool.demonstrations[index]
        question = demonstration.later if answers else demonstration.first
        start = len(tokens) + len(question)
        end = start + len(demonstration.answer)
        if end > max_tokens:
            break
        tokens += question + demonstration.answer
        answers.append((start, end))
    return Episode(pool.task, tokens, answers)


class Sampler:
    """Draws episodes; what it draws is a pure function of (seed, step, micro_step)."""

    def __init__(self, pools: Sequence[Pool], settings: Episodes, seed: int) -> None:
        self._pools = pools
        self._settings = settings
        self._seed = seed
        weights = np.array([pool.weight for pool in pools])
        self._chances = weights / weights.sum()

    def draw(self, step: int, micro_step: int, count: int) -> list[Episode]:
        """Return `count` episodes of alike length, each of a task of its own draw."""
        rng = np.random.default_rng([self._seed, step, micro_step])
        fill = rng.random() if self._settings.draw == "uniform" else 1.0
        chosen = rng.choice(len(self._pools), size=count, p=self._chances)
        return [self._episode(self._pools[index], fill, rng) for index in chosen]

    def _episode(self, pool: Pool, fill: float, rng: np.random.Generator) -> Episode:
        """Shuffle a pool and take the share `fill` of the shots that are possible."""
        settings = self._settings
        order = rng.permutation(len(pool.demonstrations)).tolist()
        most = compose(pool, order, settings.max_tokens)
        high = most.shots if settings.max_shots is None else min(settings.max_shots, most.shots)
        low = min(settings.min_shots, high)
        shots = min(low + int(fill * (high - low + 1)), high)
        end = most.answers[shots][1]
        return Episode(pool.task, most.tokens[:end], most.answers[: shots + 1])
