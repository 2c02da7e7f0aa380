"""ROUGE (Lin 2004): how much of a summary's words the expected one has too."""

from collections import Counter
from collections.abc import Sequence

from yofo_mlx.evaluation.words import is_latin, summary_words, words_of_any_script


def rouge_l(answer: str, expected: str) -> float:
    """Return ROUGE-L F1: longest common subsequence of the words of the whole summaries."""
    found, wanted = _both(answer, expected)
    if not wanted:
        return float(answer.strip() == expected.strip())
    return f1_of(_longest_common(found, wanted), len(found), len(wanted))


def rouge_n(answer: str, expected: str, n: int) -> float:
    """Return ROUGE-N F1: runs of `n` words, as often as both have them."""
    found, wanted = (_runs(words, n) for words in _both(answer, expected))
    return f1_of((found & wanted).total(), found.total(), wanted.total())


def f1_of(common: int, found: int, wanted: int) -> float:
    """Return F1 from counts; 1 where there is nothing to find and nothing was found."""
    if found == 0 or wanted == 0:
        return float(found == wanted)
    return 2 * common / (found + wanted)


def _both(answer: str, expected: str) -> tuple[list[str], list[str]]:
    """Part both texts as the expected one asks: rouge-score finds no word in Chinese or Greek."""
    split = summary_words if is_latin(expected) else words_of_any_script
    return split(answer), split(expected)


def _runs(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def _longest_common(one: Sequence[str], two: Sequence[str]) -> int:
    row = [0] * (len(two) + 1)
    for word in one:
        previous = 0
        for column, other in enumerate(two, 1):
            above = row[column]
            row[column] = previous + 1 if word == other else max(above, row[column - 1])
            previous = above
    return row[-1]
