"""ROUGE and its stemmer against the rouge-score package."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from tests.places import ROOT
from yofo_mlx.evaluation.metrics import score
from yofo_mlx.evaluation.rouge import rouge_n
from yofo_mlx.evaluation.words import summary_words

SUMMARIES = ROOT.parent / "shared" / "data" / "summarization"
TOKENIZER = DefaultTokenizer(use_stemmer=True)
SCORER = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
ENDINGS = """
al ational tional enci anci izer bli alli entli eli ousli ization ation ator alism iveness fulness
ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness ance ence er ic able
ible ant ement ment ent ion sion ou ism ate iti ous ive ize s ies sses ss ed ing eed ied y e ll at
bl iz dying skies inning proceed news
""".split()
WORDS = st.builds(
    str.__add__,
    st.text("aeiouybcdlstwxz7", max_size=4),
    st.lists(st.sampled_from(ENDINGS), max_size=3).map("".join),
)
TEXTS = st.lists(st.sampled_from("The cats cat sat, sitting on a mat! mats' -- café 2".split()))


def assert_same_as_published(answer: str, expected: str) -> None:
    published = SCORER.score(expected, answer)
    assert score(answer, expected, metric="rouge") == pytest.approx(published["rougeL"].fmeasure)
    for n in (1, 2):
        assert rouge_n(answer, expected, n) == pytest.approx(published[f"rouge{n}"].fmeasure)


@given(WORDS)
@example("7bled")
@example("traditionalli")
def test_a_word_has_the_stem_that_rouge_score_gives_it(word: str) -> None:
    try:
        published = TOKENIZER.tokenize(word)
    except IndexError:  # NLTK's stemmer falls over `oeed` and the like
        return
    assert summary_words(word) == published


@given(TEXTS, TEXTS)
def test_rouge_is_that_of_rouge_score(found: list[str], wanted: list[str]) -> None:
    answer, expected = " ".join(found), " ".join(wanted)
    if len(summary_words(expected)) > 1 and len(summary_words(answer)) > 1:
        assert_same_as_published(answer, expected)


def summaries() -> list[dict[str, Any]]:
    if not SUMMARIES.is_dir():
        pytest.skip("the shared data sets are not here")
    return [
        row for path in sorted(SUMMARIES.glob("*.json")) for row in json.loads(path.read_text())
    ]


def test_rouge_of_real_summaries_is_that_of_rouge_score() -> None:
    rows = summaries()
    for row in rows[:100]:
        assert_same_as_published(row["input"][:200], row["output"])
    words = {word for row in rows for word in re.findall(r"\w+", row["input"].lower())}
    assert [word for word in words if summary_words(word) != TOKENIZER.tokenize(word)] == []


def test_summaries_that_rouge_score_cannot_read_are_still_compared() -> None:
    for answer, expected in (("她昨天去了北京", "她去了北京"), ("Кошка сидит дома", "кошка сидит")):
        assert SCORER.score(expected, answer)["rougeL"].fmeasure == 0
        assert score(answer, expected, metric="rouge") > 0.7
        assert score(answer, "на вокзале", metric="rouge") == 0
