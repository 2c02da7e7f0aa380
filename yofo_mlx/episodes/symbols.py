"""Arbitrary words for labels, after symbol tuning (arXiv 2305.08298)."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.tasks.task import Task

# Chosen: far more than a task has labels, and few enough to be common words.
MOST_WORDS = 4096
_ROWS = 500  # of each task, spread over it: its common words are in there
_LETTERS = range(3, 13)  # of a word
# Thai, Lao, Burmese, Khmer, Japanese, Chinese have no blanks: any two letters are a word there.
_UNSPACED = (
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class Symbols:
    """Words that can stand for labels, and the segmenter of an episode without an instruction."""

    words: tuple[str, ...]
    segmenter: Segmenter

    def own_to(self, labels: Iterable[str]) -> frozenset[int]:
        """Return the places of the words that are labels or parts of labels."""
        parts = {part for label in labels for part in _words_in(label.lower())}
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
            counts.update(filter(_is_common, _words_in(example.input)))
    words: list[str] = []
    for word in sorted(counts, key=lambda word: (-counts[word], word)):
        if segmenter.text(segmenter.answer(word)) == word:
            words.append(word)
        if len(words) == MOST_WORDS:
            break
    return Symbols(tuple(sorted(words)), segmenter)


def _is_common(word: str) -> bool:
    """Tell whether a word can be a symbol by its letters."""
    is_pair = re.match(_UNSPACED, word) is not None
    return word == word.lower() and (is_pair or len(word) in _LETTERS)


def _words_in(text: str) -> list[str]:
    """Return the words of a text, whole; where there are no blanks, each letter with the next."""
    if text.isascii():
        return re.findall("[A-Za-z]+", text)
    spaced, pairs = _patterns()
    return spaced.findall(text) + pairs.findall(text)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what words are, written with blanks and without; a letter has its marks with it."""
    every = map(chr, range(0x300, 0x10000))  # Hindi's vowels are marks, for example
    marks = f"[{''.join(one for one in every if unicodedata.category(one)[0] == 'M')}]*"
    spaced, other = rf"(?!{_UNSPACED})[^\W\d_]{marks}", rf"(?![\W\d_]){_UNSPACED}{marks}"
    return re.compile(f"(?:{spaced})+"), re.compile(f"(?=({other}{other}))")
