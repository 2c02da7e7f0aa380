"""Porter's stemmer (An algorithm for suffix stripping, 1980), as the rouge-score package has it.

That is NLTK's: with Porter's later changes (`bli`, `logi`) and some of its own, which are marked.
"""

from collections.abc import Mapping
from functools import lru_cache

# NLTK's list of words whose rules would mislead.
_IRREGULAR = {
    "skies": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
    "innings": "inning",
    "outings": "outing",
    "cannings": "canning",
} | {word: word for word in "sky news inning outing canning howe proceed exceed succeed".split()}

# The longest ending that fits is the only one tried. `ogi` stands behind an l, `ion` behind s or t.
_STEP_2 = {
    "ational": "ate",
    "ization": "ize",
    "iveness": "ive",
    "fulness": "ful",
    "ousness": "ous",
    "tional": "tion",
    "biliti": "ble",
    "entli": "ent",
    "ousli": "ous",
    "ation": "ate",
    "alism": "al",
    "aliti": "al",
    "iviti": "ive",
    "fulli": "ful",  # NLTK
    "enci": "ence",
    "anci": "ance",
    "izer": "ize",
    "alli": "al",
    "ator": "ate",
    "bli": "ble",
    "eli": "e",
    "ogi": "og",
}
_STEP_3 = {
    "icate": "ic",
    "ative": "",
    "alize": "al",
    "iciti": "ic",
    "ical": "ic",
    "ness": "",
    "ful": "",
}
_STEP_4 = dict.fromkeys(
    "ement ance ence able ible ment ant ent ion ism ate iti ous ive ize al er ic ou".split(), ""
)
_BEFORE = {"ogi": "l", "ion": "st"}


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the stem of a word in small letters."""
    if word in _IRREGULAR or len(word) <= 2:
        return _IRREGULAR.get(word, word)
    word = _past(_plural(word))
    if len(word) > 2 and word.endswith("y") and _shape(word)[-2] == "c":  # NLTK: no vowel needed
        word = word[:-1] + "i"
    word = _derived(word)
    word = _without(word, _STEP_3, least=1)
    word = _without(word, _STEP_4, least=2)
    if word.endswith("e"):
        base = word[:-1]
        if _measure(base) > 1 or (_measure(base) == 1 and not _is_short(base)):
            word = base
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word


def _plural(word: str) -> str:
    """Step 1a."""
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-2]  # NLTK: dies, ties
    if word.endswith("sses"):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past(word: str) -> str:
    """Step 1b."""
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]  # NLTK: died, tied
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    ending = next((ending for ending in ("ed", "ing") if word.endswith(ending)), None)
    if ending is None or "v" not in _shape(base := word.removesuffix(ending)):
        return word
    if base.endswith(("at", "bl", "iz")):
        return base + "e"
    if base[-1:] == base[-2:-1] and _shape(base)[-1] == "c":
        return base if base[-1] in "lsz" else base[:-1]
    return base + "e" if _measure(base) == 1 and _is_short(base) else base


def _derived(word: str) -> str:
    """Step 2; after `alli` once more, as NLTK does."""
    found = _without(word, _STEP_2, least=1)
    return _derived(found) if word.endswith("alli") and found != word else found


def _without(word: str, endings: Mapping[str, str], least: int) -> str:
    ending = next((ending for ending in endings if word.endswith(ending)), None)
    if ending is None:
        return word
    base = word.removesuffix(ending)
    if ending in _BEFORE and base[-1:] not in tuple(_BEFORE[ending]):
        return word
    return base + endings[ending] if _measure(base) >= least else word


def _shape(word: str) -> str:
    """Return c for each consonant and v for each vowel; y is a vowel behind a consonant."""
    shape = ""
    for letter in word:
        is_vowel = letter in "aeiou" or (letter == "y" and shape.endswith("c"))
        shape += "v" if is_vowel else "c"
    return shape


def _measure(base: str) -> int:
    """Return how many times consonants follow vowels, Porter's m."""
    return _shape(base).count("vc")


def _is_short(base: str) -> bool:
    """Tell whether it ends like hop (Porter's *o), or is like `us`, which is NLTK's."""
    shape = _shape(base)
    return shape == "vc" or (shape.endswith("cvc") and base[-1] not in "wxy")
