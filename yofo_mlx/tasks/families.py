"""Which family a data set is of, where its recipe does not say."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from yofo_mlx.recipe.family import Family
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.task import Example

LABELLED: tuple[Family, ...] = ("classification", "multilabel", "nli")
# Of several labels a row, few rows have all in a subset.
SINGLE_LABEL: tuple[Family, ...] = ("classification", "nli")

_ENTAILMENT = {"entailment", "neutral", "contradiction", "not_entailment"}
_LONGEST_LABEL = 60  # characters
_NUMBER = re.compile(r"(.*####\s*)?-?[\d,.]+", re.DOTALL)


def guess_family(items: list[Item], *, labelled: bool = False) -> Family:
    """Guess the kind of task; `labelled`: the answers are known to be labels."""
    if not items:
        return "other"
    if 2 * sum(item.is_list for item in items) > len(items):
        return "multilabel"
    if any(item.references for item in items):
        return "qa"
    answers = Counter(item.example.output for item in items)
    if len(_ENTAILMENT & set(map(str.lower, answers))) > 1:
        return "nli"
    if labelled:
        return "classification"
    if all(map(_are_fields, answers)):
        return "extraction"
    if _are_results(answers):
        return "math"
    if _are_labels(answers):
        return "classification"
    read = sum(len(item.example.input) for item in items)
    written = sum(len(item.example.output) for item in items)
    if written > 60 * len(items) and read > 4 * written:
        return "summarization"
    asking = sum("?" in item.example.input[-200:] for item in items)
    return "qa" if 2 * asking > len(items) else "other"


def holds_labels(examples: Iterable[Example]) -> bool:
    """Tell whether the answers of examples look like labels: most come again, and are short."""
    return look_like_labels(Counter(example.output for example in examples))


def look_like_labels(answers: Counter[str]) -> bool:
    """Tell whether most of these answers come again, and are short.

    Some rare ones change nothing about that, nor does the odd row that is no label at all.
    """
    again = sum(times for times in answers.values() if times > 1)
    long = sum(times for answer, times in answers.items() if len(answer) > _LONGEST_LABEL)
    if not answers or _are_results(answers) or 2 * again < answers.total():
        return False
    return not long or max(100 * long, 10 * len(answers)) <= answers.total()


def json_in(answer: str) -> dict[str, Any] | list[Any] | None:
    """Return the object or list that an answer is the JSON text of, None if it is of none."""
    if not answer.startswith(("{", "[")):
        return None
    try:
        value: dict[str, Any] | list[Any] = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return value


def _are_fields(answer: str) -> bool:
    """Tell whether an answer is the JSON text of an object, or of a list of objects."""
    value = json_in(answer)
    entries = value if isinstance(value, list) else [value]
    return bool(entries) and all(isinstance(entry, dict) for entry in entries)


def _are_results(answers: Counter[str]) -> bool:
    """Many different numbers are what was worked out."""
    return len(answers) > answers.total() // 4 and all(map(_NUMBER.fullmatch, answers))


def _are_labels(answers: Counter[str]) -> bool:
    """Few, short and repeated answers are taken for labels."""
    total = answers.total()
    few = len(answers) <= max(2, total // 2) and len(answers) < total
    return few and max(map(len, answers)) <= _LONGEST_LABEL
