"""How an answer is compared with the expected one; every metric is between 0 and 1."""

import re
from collections import Counter
from collections.abc import Callable, Sequence


def exact(answer: str, expected: str, separator: str | None = None) -> float:
    """Compare whole answers, blanks and letter case aside."""
    return float(_normal(answer) == _normal(expected))


def f1(answer: str, expected: str, separator: str | None = None) -> float:
    """Return F1 over the labels that `separator` joins, or over words without one."""
    found, wanted = (_items(text, separator) for text in (answer, expected))
    return _harmonic((found & wanted).total(), found.total(), wanted.total())


def rouge(answer: str, expected: str, separator: str | None = None) -> float:
    """Return ROUGE-L F1: longest common subsequence of words (Lin 2004)."""
    found, wanted = _words(answer), _words(expected)
    return _harmonic(_longest_common(found, wanted), len(found), len(wanted))


METRICS: dict[str, Callable[[str, str, str | None], float]] = {
    "exact": exact,
    "f1": f1,
    "rouge": rouge,
}


def score(
    answer: str,
    expected: str,
    *,
    metric: str,
    answer_after: str | None = None,
    separator: str | None = None,
) -> float:
    """Score an answer; with `answer_after`, only what follows the last such mark counts."""
    if answer_after:
        answer, expected = (text.rpartition(answer_after)[2] for text in (answer, expected))
    return METRICS[metric](answer, expected, separator)


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())


def _items(text: str, separator: str | None) -> Counter[str]:
    if separator is None:
        return Counter(_words(text))
    return Counter(
        {item for part in text.split(separator.strip() or None) if (item := _normal(part))}
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _harmonic(common: int, found: int, wanted: int) -> float:
    if found == 0 or wanted == 0:
        return float(found == wanted)
    return 2 * common / (found + wanted)


def _longest_common(one: Sequence[str], two: Sequence[str]) -> int:
    row = [0] * (len(two) + 1)
    for word in one:
        previous = 0
        for column, other in enumerate(two, 1):
            above = row[column]
            row[column] = previous + 1 if word == other else max(above, row[column - 1])
            previous = above
    return row[-1]
