"""Episodes: one task's demonstrations as one token sequence, with the places of its answers."""

import zlib
from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import Episodes
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.task import Example, Teacher

Lengths = npt.NDArray[np.int32]
Kind = Literal["own", "zero_shot", "rejected", "wrong"]
"""An episode as drawn; an answer of one without demonstrations; one with another last answer."""


@dataclass(frozen=True)
class Demonstration:
    """A tokenised example: its question as the first one and as a later one, and its answer."""

    first: list[int]
    later: list[int]
    answer: list[int]
    rejected: list[int] = field(default_factory=list)  # an answer that is not to be given
    teacher: Teacher | None = None  # what is expected at each token of the answer
    doubt: float = 0.0  # how much less sure of the answer a model is than of others, 0 to 1

    @property
    def alone(self) -> int:
        """Return the most tokens it takes, first or later."""
        return max(len(self.first), len(self.later)) + len(self.answer)

    def __len__(self) -> int:
        return len(self.later) + len(self.answer)


@dataclass
class Episode:
    """An opening and n demonstrations; `answers` are the (start, end) of each answer's tokens.

    It only ever grows at its end: the tokens of k shots are a prefix of those of k + 1 shots.
    """

    task: str
    tokens: list[int]
    answers: list[tuple[int, int]] = field(default_factory=list)
    renamed: Mapping[str, str] = field(default_factory=dict)
    """The arbitrary words that stand for labels, by label."""
    teachers: dict[int, Teacher] = field(default_factory=dict, compare=False)  # by answer
    doubts: list[float] = field(default_factory=list, compare=False)  # of each answer
    kind: Kind = "own"
    weight: float = 1.0  # of each of its answers
    beside: list["Episode"] = field(default_factory=list)
    """What its objective reads as well (`companions.py`)."""

    @property
    def size(self) -> int:
        """Tokens of it and of what is read beside it."""
        return len(self.tokens) + sum(len(one.tokens) for one in self.beside)

    @property
    def shots(self) -> int:
        """Demonstrations before the last answer."""
        return len(self.answers) - 1

    def add(self, demonstration: Demonstration, max_tokens: int | None = None) -> bool:
        """Append a demonstration, never cut; False, and nothing is done, where it does not fit.

        Whoever adds says what then: `takewhile(episode.add, ...)` stops, `filter` goes on.
        """
        question = demonstration.later if self.answers else demonstration.first
        start = len(self.tokens) + len(question)
        end = start + len(demonstration.answer)
        if max_tokens is not None and end > max_tokens:
            return False
        self.tokens += question + demonstration.answer
        self.answers.append((start, end))
        self.doubts.append(demonstration.doubt)
        if demonstration.teacher:
            self.teachers[len(self.answers) - 1] = demonstration.teacher
        return True


class Stock(Sequence[Demonstration]):
    """Demonstrations to draw from, with their lengths at hand."""

    @abstractmethod
    def at(self, place: int) -> Demonstration:
        """Return the demonstration at a place, counted from 0."""

    @property
    @abstractmethod
    def lengths(self) -> tuple[Lengths, Lengths]:
        """Lengths of all of them as the first demonstration, and as a later one."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Memory that they take."""

    @overload
    def __getitem__(self, index: int) -> Demonstration: ...

    @overload
    def __getitem__(self, index: slice) -> list[Demonstration]: ...

    def __getitem__(self, index: int | slice) -> Demonstration | list[Demonstration]:
        places = range(len(self))[index]
        return self.at(places) if isinstance(places, int) else list(map(self.at, places))


class Demonstrations(Stock):
    """Demonstrations in little memory: all of them packed into one array of bytes.

    Packing pays twice: a first and a later question are nearly the same tokens, and so is much of
    a text in a small vocabulary. Lengths are kept apart, for they are all that drawing looks at.
    """

    def __init__(self) -> None:
        self._packed = bytearray()
        self._ends = array("q", [0])
        self._lengths = array("i")
        self._doubts = array("f")
        self._teachers: dict[int, Teacher] = {}

    def append(self, demonstration: Demonstration) -> None:
        """Add one; of equal questions one is kept."""
        first, later, answer = demonstration.first, demonstration.later, demonstration.answer
        alike = first == later
        rejected = demonstration.rejected
        parts = [*([] if alike else first), *later, *answer, *rejected]
        tokens = np.array(parts, dtype=np.uint32)
        # Level 1: the harder ones are slow, and hardly smaller.
        self._packed += zlib.compress(tokens.tobytes(), 1)
        self._ends.append(len(self._packed))
        sizes = (0 if alike else len(first), len(later), len(answer), len(rejected))
        self._lengths.extend(sizes)
        self._doubts.append(demonstration.doubt)
        if demonstration.teacher:
            self._teachers[len(self) - 1] = demonstration.teacher

    def __len__(self) -> int:
        return len(self._ends) - 1

    def at(self, place: int) -> Demonstration:
        """Unpack one."""
        packed = memoryview(self._packed)[self._ends[place] : self._ends[place + 1]]
        tokens = np.frombuffer(zlib.decompress(packed), dtype=np.uint32).tolist()
        first, later, answer, _ = self._lengths[4 * place : 4 * place + 4]
        question, end = tokens[first : first + later], first + later + answer
        return Demonstration(
            tokens[:first] or question,
            question,
            tokens[first + later : end],
            tokens[end:],
            self._teachers.get(place),
            self._doubts[place],
        )

    @property
    def lengths(self) -> tuple[Lengths, Lengths]:
        """Lengths of all of them as the first demonstration, and as a later one."""
        first, later, answer = np.array(self._lengths, dtype=np.int32).reshape(-1, 4)[:, :3].T
        return np.where(first, first, later) + answer, later + answer

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return len(self._packed) + 8 * len(self._ends) + 4 * (len(self._lengths) + len(self))


@dataclass(frozen=True)
class Pool:
    """A task's demonstrations, ready to be drawn."""

    task: str
    opening: list[int]
    demonstrations: Stock
    left_out: int  # examples that do not fit an episode even alone
    weight: float = 1.0
    fixed: int | None = None  # so many, the first ones, stand before every query (`fixed.py`)
    renamed: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[list[int], ...] = ()  # tokens of all labels, where wrong ones are wanted

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.demonstrations.nbytes

    def drawn(self, rng: np.random.Generator) -> "Pool":
        """Return what of it an episode is drawn from: all, and nothing is drawn for that."""
        return self


def tokenize(segmenter: Segmenter, example: Example) -> Demonstration:
    """Tokenise one example; in a channel the other way round."""
    return next(tokenize_all(segmenter, [example]))


def tokenize_all(segmenter: Segmenter, examples: Iterable[Example]) -> Iterator[Demonstration]:
    """Tokenise examples, some hundreds at a time: in half the time that one by one takes."""
    rest = iter(examples)
    while some := list(islice(rest, 512)):
        given, said = [one.input for one in some], [one.output for one in some]
        if segmenter.channel:
            given, said = said, given
        later, answers = segmenter.questions(given), segmenter.answers(said)
        first = segmenter.questions(given, first=True) if segmenter.first_differs else later
        for tokens in zip(some, first, later, answers, strict=True):
            yield _demonstration(segmenter, *tokens)


def _demonstration(
    segmenter: Segmenter, example: Example, first: list[int], later: list[int], answer: list[int]
) -> Demonstration:
    rejected = segmenter.answer(example.rejected) if example.rejected else []
    teacher = example.teacher
    if teacher is not None and len(teacher) != len(answer):
        raise DataError(
            f"a teacher's {len(teacher)} tokens are for an answer of {len(answer)}:"
            f" {shorten(example.output, 60)}",
            "it is of another model or template: run `yofo rehearse RECIPE --distill 8` anew",
        )
    return Demonstration(first, later, answer, rejected, teacher, example.doubt)


def make_pool(
    task: str,
    examples: Sequence[Example],
    segmenter: Segmenter,
    max_tokens: int,
    weight: float = 1.0,
    tick: Callable[[], None] = lambda: None,
    keep: Callable[[Example], None] = lambda _: None,
) -> Pool:
    """Tokenise a task's distinct examples; those too long for an episode are left out.

    `tick` is called for each example, `keep` for each that is in the pool.
    """
    opening = segmenter.opening
    room = max_tokens - len(opening)
    fitting, left_out, shortest = Demonstrations(), 0, 0
    # Each once: an answer that stands in the context already would be copied, not learned.
    distinct = dict.fromkeys(examples)
    for example, found in zip(distinct, tokenize_all(segmenter, distinct), strict=True):
        tick()
        if found.alone <= room:
            fitting.append(found)
            keep(example)
            continue
        shortest = min(len(found), shortest) if left_out else len(found)
        left_out += 1
    if not fitting:
        raise DataError(
            f"task {task!r}: not one of {left_out} demonstrations fits an episode of"
            f" {max_tokens} tokens (the shortest needs {shortest + len(opening)})",
            "raise episodes.max_tokens, or shorten the examples",
        )
    return Pool(task, opening, fitting, left_out, weight)


def count_fitting(pool: Pool, order: npt.ArrayLike, max_tokens: int) -> int:
    """Return how many can be added one after the other until one does not fit.

    The same sum as `Episode.add`, of lengths alone: a draw does not unpack what it will not show.
    """
    first, later = pool.demonstrations.lengths
    places = np.asarray(order, dtype=np.intp)
    lengths = later[places]
    lengths[:1] = first[places[:1]]  # nothing before it that a separator would part it from
    ends = len(pool.opening) + np.cumsum(lengths, dtype=np.int64)
    return int(np.searchsorted(ends, max_tokens, side="right"))


def join(pool: Pool, order: Iterable[int]) -> Episode:
    """Return the episode of these demonstrations."""
    episode = Episode(pool.task, list(pool.opening), renamed=pool.renamed)
    for index in order:
        episode.add(pool.demonstrations[index])
    return episode


Companions = Callable[[Pool, Sequence[int], Episode, np.random.Generator], list[Episode]]


class Sampler:
    """Draws episodes; what it draws is a pure function of (seed, step, micro_step)."""

    def __init__(
        self,
        pools: Sequence[Pool],
        settings: Episodes,
        seed: int,
        companions: Companions = lambda *_: [],
    ) -> None:
        """`companions` says what is read beside an episode of these places of a pool."""
        self._pools = pools
        self._settings = settings
        self._seed = seed
        self._companions = companions
        weights = np.array([pool.weight for pool in pools])
        self._chances = weights / weights.sum()

    def draw(self, step: int, micro_step: int, count: int) -> list[Episode]:
        """Return `count` episodes of alike length, each of a task of its own draw."""
        rng = np.random.default_rng([self._seed, step, micro_step])
        fill = self._fill(rng)
        chosen = rng.choice(len(self._pools), size=count, p=self._chances)
        return [self._episode(self._pools[index], fill, rng) for index in chosen]

    def draw_tokens(self, step: int, tokens: int) -> list[Episode]:
        """Return episodes of alike length that together make about so many tokens; at least one.

        The last one is the one that brings their sum nearest. To stop below it would leave long
        episodes out more often than short ones, and many-shot updates a fifth smaller.
        """
        rng = np.random.default_rng([self._seed, step, 0])
        fill = self._fill(rng)
        episodes: list[Episode] = []
        room = tokens
        while True:
            pool = self._pools[rng.choice(len(self._pools), p=self._chances)]
            episode = self._episode(pool, fill, rng)
            if episodes and episode.size > 2 * room:
                return episodes
            episodes.append(episode)
            room -= episode.size

    def _fill(self, rng: np.random.Generator) -> float:
        """Draw which share of the possible shots is taken.

        One share for all: the rows of a batch are then of like length, and little is padding.
        """
        return rng.random() if self._settings.draw == "uniform" else 1.0

    def _episode(self, pool: Pool, fill: float, rng: np.random.Generator) -> Episode:
        """Shuffle a pool and take the share `fill` of the shots that are possible."""
        if pool.fixed is not None:
            query = rng.integers(pool.fixed, len(pool.demonstrations))
            return self._joined(pool, [*range(pool.fixed), int(query)], rng)
        settings, pool = self._settings, pool.drawn(rng)
        # A new order each time: what was a late shot is an early one, and no order is learned.
        order = rng.permutation(len(pool.demonstrations))
        most = count_fitting(pool, order, settings.max_tokens) - 1  # the last one is the query
        high = most if settings.max_shots is None else min(settings.max_shots, most)
        low = min(settings.min_shots, high)
        # Few shots are as likely as many, so that the adapter stays good at few.
        shots = min(low + int(fill * (high - low + 1)), high)
        return self._joined(pool, order[: shots + 1].tolist(), rng)

    def _joined(self, pool: Pool, order: Sequence[int], rng: np.random.Generator) -> Episode:
        episode = join(pool, order)
        # A stream of its own: the episodes are the same whatever is read beside them.
        (own,) = rng.spawn(1)
        episode.beside = self._companions(pool, order, episode, own)
        return episode
