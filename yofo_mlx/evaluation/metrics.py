"""How an answer is compared with the expected one; every metric is between 0 and 1."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

_NUMBER = re.compile(
    r"((?<![\w).])[-\u2212])?"  # a minus between two numbers is no sign
    r"((?:\d{1,3}(?:,\d{3})+(?!\d|,\d)|\d+)(?:\.\d+)?|\.\d+)"
    r"(?:[eE]([-+]?\d{1,3})(?!\w))?"
    r"(?:\s*/\s*(\d+))?"
)


def exact(answer: str, expected: str, separator: str | None = None) -> float:
    """Compare whole answers letter for letter, blanks at their ends aside."""
    return float(answer.strip() == expected.strip())


def number(answer: str, expected: str, separator: str | None = None) -> float:
    """Compare the last numbers by value; an expected answer without any is compared as text."""
    wanted = last_number(expected)
    if wanted is None:
        return exact(answer, expected)
    return float(last_number(answer) == wanted)


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
    "number": number,
    "f1": f1,
    "rouge": rouge,
}
TITLES = {"exact": "Exact match", "number": "Right number", "f1": "F1", "rouge": "ROUGE-L"}


def needs_text(metric: str, answer_after: str | None) -> bool:
    """Tell whether an answer must be generated; else its tokens are compared as they are."""
    return metric != "exact" or answer_after is not None


def score(
    answer: str,
    expected: str,
    *,
    metric: str,
    answer_after: str | None = None,
    separator: str | None = None,
) -> float:
    """Score an answer; with `answer_after`, only what follows the last such mark counts.

    A text without the mark counts whole.
    """
    if answer_after:
        answer, expected = (text.rpartition(answer_after)[2] for text in (answer, expected))
    return METRICS[metric](answer, expected, separator)


def last_number(text: str) -> Fraction | None:
    """Return the last number of a text (-2, 1,000, 3.50, 2e3, 1/2), None if there is none."""
    found = _NUMBER.findall(text)
    if not found:
        return None
    sign, digits, exponent, divisor = found[-1]
    value = Fraction(Decimal(digits.replace(",", ""))) * Fraction(10) ** int(exponent or 0)
    if divisor and (by := Fraction(Decimal(divisor))):
        value /= by
    return -value if sign else value


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
