"""Texts parted into words as published metrics do it, and for scripts that those leave out."""

import re
import string
import unicodedata

from yofo_mlx.evaluation.stemming import stem

# Scripts that put no space between words (Thai, Lao, Burmese, Khmer, Japanese, Chinese): there a
# character counts as a word, as MLQA has it (Lewis et al. 2020).
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_PARTS = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SHORT = 3  # letters of a word that rouge-score does not stem


def summary_words(text: str) -> list[str]:
    """Return what rouge-score makes of a text with its stemmer: stems of a-z and 0-9 alone."""
    words = re.findall("[a-z0-9]+", text.lower())
    return [word if len(word) <= _SHORT else stem(word) for word in words]


def words_of_any_script(text: str) -> list[str]:
    """Return runs of letters, marks and digits, letter case aside, unstemmed."""
    kept = (letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in text)
    return _PARTS.findall("".join(kept).casefold())


def is_latin(text: str) -> bool:
    """Tell whether at least half of a text's letters are a to z: what rouge-score can read."""
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(letter.isascii() for letter in letters) >= len(letters)


def short_answer_words(text: str) -> list[str]:
    """Return the words that SQuAD compares: small letters, no punctuation, no articles.

    Punctuation of any script goes, as in MLQA; SQuAD's own script knows ASCII's alone.
    """
    bare = "".join(letter for letter in text.lower() if not _is_punctuation(letter))
    return _PARTS.findall(_ARTICLES.sub(" ", bare))


def _is_punctuation(letter: str) -> bool:
    return letter in string.punctuation or unicodedata.category(letter).startswith("P")
