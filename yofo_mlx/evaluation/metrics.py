"""How an answer is compared with the expected ones; every metric is between 0 and 1."""

from collections import Counter
from collections.abc import Callable, Sequence

from yofo_mlx.evaluation.extraction import fields_f1
from yofo_mlx.evaluation.label_sets import labels_in, multilabel_f1, set_f1
from yofo_mlx.evaluation.numbers import last_number
from yofo_mlx.evaluation.rouge import f1_of, rouge_l, rouge_n
from yofo_mlx.evaluation.words import short_answer_words

Measure = Callable[[str, str], float]  # of an answer and the expected one


def exact(answer: str, expected: str) -> float:
    """Compare whole answers letter for letter, blanks at their ends aside."""
    return float(answer.strip() == expected.strip())


def number(answer: str, expected: str) -> float:
    """Compare the last numbers by value; an expected answer without any is compared as text."""
    wanted = last_number(expected)
    if wanted is None:
        return exact(answer, expected)
    return float(last_number(answer) == wanted)


def word_f1(answer: str, expected: str) -> float:
    """Return F1 over the words that SQuAD compares (Rajpurkar et al. 2016)."""
    found, wanted = (Counter(short_answer_words(text)) for text in (answer, expected))
    if not wanted:
        return exact(answer, expected)
    return f1_of((found & wanted).total(), found.total(), wanted.total())


def same_words(answer: str, expected: str) -> float:
    """Return SQuAD's exact match: the same words in the same order."""
    wanted = short_answer_words(expected)
    return float(short_answer_words(answer) == wanted) if wanted else exact(answer, expected)


METRICS: dict[str, Measure] = {
    "exact": exact,
    "number": number,
    "f1": word_f1,
    "rouge": rouge_l,
    "fields": fields_f1,
}
TITLES = {
    "exact": "Exact match",
    "number": "Right number",
    "f1": "F1",
    "rouge": "ROUGE-L",
    "fields": "F1 over fields",
}
# Figures beside a metric: means over the same answers, each with the best of the expected ones.
BESIDE: dict[str, dict[str, Measure]] = {
    "f1": {"exact_match": same_words},
    "rouge": {
        "rouge1": lambda answer, expected: rouge_n(answer, expected, 1),
        "rouge2": lambda answer, expected: rouge_n(answer, expected, 2),
    },
    "fields": {"all_fields": lambda answer, expected: float(fields_f1(answer, expected) == 1)},
}


def needs_text(metric: str, answer_after: str | None, *, several: bool = False) -> bool:
    """Tell whether an answer must be generated; else its tokens are compared as they are.

    `several`: some query has more than one expected answer.
    """
    return metric != "exact" or answer_after is not None or several


def score(
    answer: str,
    expected: str,
    *more: str,
    metric: str,
    answer_after: str | None = None,
    separator: str | None = None,
) -> float:
    """Score an answer against the best of the expected ones.

    With `answer_after` only what follows the last such mark counts; a text without it counts whole.
    With `separator`, F1 is over the labels that it joins.
    """
    measure = METRICS[metric]
    if metric == "f1" and separator is not None:
        measure = _of_labels(separator)
    answer, *wanted = (_result(text, answer_after) for text in (answer, expected, *more))
    return max(measure(answer, one) for one in wanted)


def beside(
    answers: Sequence[str],
    expecteds: Sequence[Sequence[str]],
    *,
    metric: str,
    answer_after: str | None = None,
    separator: str | None = None,
) -> dict[str, float]:
    """Return what is told beside the metric's mean; `expecteds`: one or more for each answer."""
    if not answers:
        return {}
    found = [_result(text, answer_after) for text in answers]
    wanted = [[_result(text, answer_after) for text in texts] for texts in expecteds]
    if metric == "f1" and separator is not None:
        micro, macro = multilabel_f1(found, [texts[0] for texts in wanted], separator)
        return {"micro_f1": micro, "macro_f1": macro}
    pairs = list(zip(found, wanted, strict=True))
    return {
        name: sum(max(measure(text, one) for one in texts) for text, texts in pairs) / len(pairs)
        for name, measure in BESIDE.get(metric, {}).items()
    }


def _of_labels(separator: str) -> Measure:
    return lambda answer, expected: set_f1(
        labels_in(answer, separator), labels_in(expected, separator)
    )


def _result(text: str, answer_after: str | None) -> str:
    return text.rpartition(answer_after)[2] if answer_after else text
