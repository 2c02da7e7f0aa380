"""Tasks whose episodes show some of their labels, or arbitrary words in place of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.sampler import (
    Demonstration,
    Demonstrations,
    Lengths,
    Pool,
    Stock,
    make_pool,
)
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.episodes.symbols import Symbols
from yofo_mlx.recipe.schema import Episodes
from yofo_mlx.recipe.section import LabelRange
from yofo_mlx.tasks.task import Example, Task

Places = npt.NDArray[np.int64]


class Selected(Stock):
    """Some demonstrations of a stock."""

    def __init__(self, stock: Stock, places: Places) -> None:
        self._stock = stock
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def at(self, place: int) -> Demonstration:
        """Return the demonstration at a place of the selection."""
        return self._stock.at(int(self._places[place]))

    @property
    def lengths(self) -> tuple[Lengths, Lengths]:
        """Lengths of the selected ones, as the first demonstration and as a later one."""
        first, later = self._stock.lengths
        return first[self._places], later[self._places]

    @property
    def nbytes(self) -> int:
        """Memory that the selection takes."""
        return self._places.nbytes


class Renamed(Stock):
    """Demonstrations with other answers, and first questions as they are without an instruction."""

    def __init__(
        self, stock: Stock, answers: list[list[int]], sizes: Lengths, firsts: Stock | None
    ):
        self._stock = stock
        self._answers = answers
        self._sizes = sizes  # of the answers that they had
        self._firsts = firsts

    def __len__(self) -> int:
        return len(self._stock)

    def at(self, place: int) -> Demonstration:
        """Return a demonstration with its new answer."""
        one = self._stock.at(place)
        first = self._firsts.at(place).later if self._firsts else one.first
        return Demonstration(first, one.later, self._answers[place])

    @property
    def lengths(self) -> tuple[Lengths, Lengths]:
        """Lengths with the new answers, as the first demonstration and as a later one."""
        now = np.array([len(answer) for answer in self._answers], dtype=np.int32)
        first, later = (length - self._sizes for length in self._stock.lengths)
        first = self._firsts.lengths[1] if self._firsts else first
        return first + now, later + now

    @property
    def nbytes(self) -> int:
        """Memory of the demonstrations themselves."""
        return self._stock.nbytes


@dataclass(frozen=True)
class Renaming:
    """How a task's labels become words."""

    share: float  # of its episodes
    symbols: Symbols
    avoided: frozenset[int]
    firsts: Demonstrations | None  # first questions without an instruction, where they differ
    most: int  # demonstrations that an episode can hold
    max_tokens: int
    separator: str | None

    def parts(self, answer: str) -> list[str]:
        """Return the labels of an answer."""
        return [answer] if self.separator is None else answer.split(self.separator)

    def joined(self, words: list[str]) -> str:
        """Return the answer of several labels."""
        return (self.separator or "").join(words)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelPool(Pool):
    """A pool that knows its demonstrations' labels."""

    answers: tuple[str, ...]  # the different ones
    sizes: Lengths  # their tokens
    held: Lengths  # (n,) which of them each demonstration has
    subset: LabelRange | None
    renaming: Renaming | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        firsts = self.renaming and self.renaming.firsts
        return (
            super().nbytes + self.held.nbytes + self.sizes.nbytes + (firsts.nbytes if firsts else 0)
        )

    def drawn(self, rng: np.random.Generator) -> Pool:
        """Return the demonstrations of some labels, which may be words by now."""
        places = np.arange(len(self.held))
        if self.subset:
            low, high = (min(bound, len(self.answers)) for bound in self.subset)
            count = rng.integers(low, high + 1)
            shown = rng.choice(len(self.answers), size=count, replace=False)
            places = np.flatnonzero(np.isin(self.held, shown))
        if self.renaming and rng.random() < self.renaming.share:
            renamed = self._renamed(places, self.renaming, rng)
            if len(renamed.demonstrations):  # else its words are too long for an episode
                return renamed
        return self._of(Selected(self.demonstrations, places)) if self.subset else self

    def _renamed(self, places: Places, how: Renaming, rng: np.random.Generator) -> Pool:
        """Return demonstrations with words as answers, as many as an episode may hold."""
        places = rng.permutation(places)[: how.most]
        held = self.held[places]
        shown = np.unique(held).tolist()
        parts = {place: how.parts(self.answers[place]) for place in shown}
        labels = sorted({label for several in parts.values() for label in several})
        words = how.symbols.draw(labels, how.avoided, rng)
        segmenter = how.symbols.segmenter
        answers = {
            place: segmenter.answer(how.joined([words[label] for label in several]))
            for place, several in parts.items()
        }
        stock = Renamed(
            Selected(self.demonstrations, places),
            [answers[place] for place in held.tolist()],
            self.sizes[held],
            Selected(how.firsts, places) if how.firsts else None,
        )
        fits = np.maximum(*stock.lengths) <= how.max_tokens - len(segmenter.opening)
        fitting = Selected(stock, np.flatnonzero(fits))
        return replace(self._of(fitting), opening=segmenter.opening, renamed=words, labels=())

    def _of(self, stock: Stock) -> Pool:
        labels = self.labels
        return Pool(self.task, self.opening, stock, self.left_out, self.weight, labels=labels)


def make_label_pool(
    task: Task,
    segmenter: Segmenter,
    settings: Episodes,
    weight: float,
    tick: Callable[[], None],
    *,
    subset: LabelRange | None,
    symbols: Symbols | None,
    separator: str | None,
) -> LabelPool:
    """Tokenise a task whose episodes vary in their labels; `symbols`: words that they become."""
    kept: list[Example] = []
    limit = settings.max_tokens
    pool = make_pool(task.name, task.train, segmenter, limit, weight, tick, kept.append)
    places: dict[str, int] = {}
    held = [places.setdefault(example.output, len(places)) for example in kept]
    sizes = [len(segmenter.answer(answer)) for answer in places]
    labels = LabelPool(
        pool.task,
        pool.opening,
        pool.demonstrations,
        pool.left_out,
        pool.weight,
        answers=tuple(places),
        sizes=np.array(sizes, dtype=np.int32),
        held=np.array(held, dtype=np.int32),
        subset=subset,
    )
    if symbols is None:
        return labels
    later = pool.demonstrations.lengths[1]
    shortest = int((later - labels.sizes[labels.held]).min()) + 1  # an answer has a token at least
    renaming = Renaming(
        settings.rename_labels,
        symbols,
        symbols.own_to(labels_in(places, separator)),
        _bare_firsts(kept, segmenter, symbols.segmenter),
        limit // shortest + 1,
        limit,
        separator,
    )
    return replace(labels, renaming=renaming)


def _bare_firsts(
    examples: Sequence[Example], segmenter: Segmenter, bare: Segmenter
) -> Demonstrations | None:
    """Return first questions without an instruction; None where they are the same with one."""
    if bare.first_lead == segmenter.first_lead:
        return None
    firsts = Demonstrations()
    for example in examples:
        question = bare.question(example.input, first=True)
        firsts.append(Demonstration(question, question, []))
    return firsts


def labels_in(answers: Iterable[str], separator: str | None) -> set[str]:
    """Return the labels that answers hold, of which `separator` may join several."""
    if separator is None:
        return set(answers)
    return {label for answer in answers for label in answer.split(separator)}
