"""The demonstrations most like a query: BM25 over letters of their inputs, by bm25s.

Trigrams of letters need no words: they find what is inflected or misspelled, and are there in
scripts without blanks.
"""

import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import bm25s
import numpy as np

from yofo_mlx.prompting.context import OnChunk, ignore
from yofo_mlx.prompting.selection import Room, fitting
from yofo_mlx.tasks.task import Example

_LETTERS = 3  # of a gram


def grams(text: str) -> list[str]:
    """Return the trigrams of a text, letter case and the width of blanks aside."""
    plain = f" {' '.join(unicodedata.normalize('NFKC', text).casefold().split())} "
    return [plain[at : at + _LETTERS] for at in range(max(1, len(plain) - _LETTERS + 1))]


class Similarity:
    """Demonstrations that can be ranked by how much they are like a query."""

    def __init__(self, examples: Sequence[Example]) -> None:
        """Index them; of those that are equally like a query, the earlier stand first."""
        self._examples = examples
        self._numbers: dict[str, int] = {}
        texts = [
            [self._numbers.setdefault(gram, len(self._numbers)) for gram in grams(one.input)]
            for one in examples
        ]
        self._index = bm25s.BM25()
        if texts:
            self._index.index((texts, dict(self._numbers)), show_progress=False)

    def ranked(self, query: str) -> Iterator[Example]:
        """Yield all of them, the most similar first."""
        known = [self._numbers[gram] for gram in grams(query) if gram in self._numbers]
        if not known:
            yield from self._examples
            return
        scores = self._index.get_scores(known)
        for place in np.argsort(-scores, kind="stable"):
            yield self._examples[place]


@dataclass(frozen=True)
class SimilarTail:
    """Gives each query the demonstrations most like it, as many as the room behind a bulk holds."""

    similarity: Similarity
    room: Room
    length: Callable[[Example], int]
    shots: int | None = None  # at most
    bulk: Collection[Example] = frozenset()  # those that every query sees
    note: ClassVar[str] = ""

    def tail(self, query: str, on_chunk: OnChunk = ignore) -> tuple[Example, ...]:
        """Return them, the most similar last: next to the query."""
        return self.nearest(query, self.shots)[::-1]

    def nearest(
        self, query: str, most: int | None, without: str | None = None
    ) -> tuple[Example, ...]:
        """Return them, the most similar first; none with the input `without`."""
        others = (
            one
            for one in self.similarity.ranked(query)
            if one not in self.bulk and one.input != without
        )
        return tuple(fitting(others, self.room, self.length, most)[0])
