"""Arbitrary words for labels, after symbol tuning (arXiv 2305.08298)."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.tasks.task import Task

# Chosen: far more than a task has labels, and few enough to be common words.
MOST_WORDS = 4096
_ROWS = 500  # of each task, spread over it: its common words are in there
_WORD = re.compile(r"[^\W\d_]{3,12}")


@dataclass(frozen=True)
class Symbols:
    """Words that can stand for labels, and the segmenter of an episode without an instruction."""

    words: tuple[str, ...]
    segmenter: Segmenter

    def own_to(self, labels: Iterable[str]) -> frozenset[int]:
        """Return the places of the words that are labels or parts of labels."""
        parts = {part for label in labels for part in _parts(label)}
        return frozenset(place for place, word in enumerate(self.words) if word in parts)

    def draw(
        self, labels: Sequence[str], avoided: frozenset[int], rng: np.random.Generator
    ) -> dict[str, str]:
        """Return a word for each label, all of them different."""
        count = len(labels) + len(avoided)
        drawn: npt.NDArray[np.int64] = rng.choice(len(self.words), size=count, replace=False)
        places = [place for place in drawn.tolist() if place not in avoided]
        return {label: self.words[place] for label, place in zip(labels, places, strict=False)}


def find_symbols(tasks: Sequence[Task], segmenter: Segmenter) -> Symbols:
    """Return the commonest words of the inputs, so that any language and tokenizer has some.

    They are in lower case, and such that the tokenizer gives back what it was given.
    """
    counts: Counter[str] = Counter()
    for task in tasks:
        for example in task.train[:: max(1, len(task.train) // _ROWS)]:
            counts.update(word for word in _WORD.findall(example.input) if word == word.lower())
    words: list[str] = []
    for word in sorted(counts, key=lambda word: (-counts[word], word)):
        if segmenter.text(segmenter.answer(word)) == word:
            words.append(word)
        if len(words) == MOST_WORDS:
            break
    return Symbols(tuple(sorted(words)), segmenter)


def _parts(label: str) -> list[str]:
    """Return a label's words, in lower case as the symbols are."""
    return re.findall(r"[^\W\d_]+", label.lower())
