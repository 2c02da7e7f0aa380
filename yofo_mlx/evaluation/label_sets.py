"""Sets of labels compared: one query's, and those of all queries together."""

from collections import Counter
from collections.abc import Iterable, Sequence

from yofo_mlx.evaluation.rouge import f1_of


def labels_in(text: str, separator: str) -> set[str]:
    """Return the labels that a separator joins, spaces and letter case aside."""
    parts = text.split(separator.strip() or None)
    return {label for part in parts if (label := " ".join(part.casefold().split()))}


def set_f1(found: set[str], wanted: set[str]) -> float:
    """Return F1 of one query's labels."""
    return f1_of(len(found & wanted), len(found), len(wanted))


def multilabel_f1(
    answers: Sequence[str], expecteds: Sequence[str], separator: str
) -> tuple[float, float]:
    """Return micro and macro F1 over all queries, as scikit-learn defines them.

    Micro counts every label of every query alike. Macro is the mean of each label's F1, over the
    labels that were expected or answered: an invented one is a label that is never right.
    """
    found = [labels_in(text, separator) for text in answers]
    wanted = [labels_in(text, separator) for text in expecteds]
    right = _counts(one & two for one, two in zip(found, wanted, strict=True))
    given, due = _counts(found), _counts(wanted)
    each = [f1_of(right[label], given[label], due[label]) for label in given | due]
    micro = f1_of(right.total(), given.total(), due.total())
    return micro, sum(each) / len(each) if each else 1.0


def _counts(sets: Iterable[set[str]]) -> Counter[str]:
    return Counter(label for one in sets for label in one)
