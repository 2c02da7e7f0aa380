"""When two texts are one and the same: line ends, Unicode forms, invisible characters, spaces.

Only line ends are changed in what is trained; the keys serve comparisons.
"""

import ast
import json
import re
import unicodedata
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache

from yofo_mlx.system.text import clip, shorten

# What Unicode calls ignorable by default, but for the tags that tell flags apart.
_INVISIBLE = re.compile(
    "[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0001\U000e0100-\U000e01ef]"
)
_WHOLE = re.compile(r"^(-?[0-9]+)\.0+$")  # as tables write numbers of a column with gaps
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[-_\s]+(?=[^\W_])")
_QUOTED = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_ENTRY = rf"(?:{_QUOTED}|[-+]?\d+(?:\.\d*)?)"
# Commas as in Python and JSON, or spaces alone as NumPy prints arrays.
_LIST_START = re.compile(r"(?:array\()?\[|[({]\s*['\"]")
_LIST = re.compile(
    rf"(?:array\()?[\[({{]\s*((?:{_ENTRY}(?:\s*,\s*|\s+|(?=\s*[\])}}])))*)\s*[\])}}]"
    r"(?:,\s*dtype=[^)]*)?\)?"
)


def unify_lines(text: str) -> str:
    """Return `text` with every line ended by a line feed alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def text_key(text: str) -> str:
    """Return what texts share that differ in spaces, line ends, Unicode form or the invisible."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    if text.isprintable() and "  " not in text:  # most texts; and none is kept twice
        return text.strip(" ")
    return " ".join(text.split())


def label_key(label: str) -> str:
    """Return what the spellings of one label share: letter case, a full stop, `1` and `1.0` too."""
    folded = text_key(unicodedata.normalize("NFKC", label).casefold())
    folded = _BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFC", folded))
    folded = folded.rstrip(" .,;:!") or folded
    return _WHOLE.sub(r"\1", folded)


@lru_cache(maxsize=4096)
def name_key(name: str) -> str:
    """Return what the spellings of one column name share."""
    return text_key(name).casefold()


def look_alike(one: str, other: str) -> bool:
    """Tell whether two different texts may look the same on a screen."""
    return text_key(one) == text_key(other)


def respelled(texts: Iterable[str], labels: Collection[str]) -> dict[str, str]:
    """Return the texts that are no label, but another spelling of one, each with that one."""
    by_key = {label_key(label): label for label in labels}
    keys = {text: label_key(text) for text in texts if text not in labels}
    return {text: by_key[key] for text, key in keys.items() if key in by_key}


def spelled(label: str, other: str) -> str:
    """Return a label in quotes, letter by letter where the other one may look the same."""
    if label != other and look_alike(label, other):
        return ascii(clip(label, 40))
    return repr(shorten(label, 40))


def list_in_text(text: str) -> list[str] | None:
    """Return the entries of a list that Python, JSON or NumPy wrote as text; None if it is none."""
    if not _LIST_START.match(text) or not (found := _LIST.fullmatch(text)):
        return None
    return [_unquoted(entry) for entry in re.findall(_ENTRY, found[1])]


def _unquoted(entry: str) -> str:
    if entry[0] not in "'\"":
        return entry
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError):
            return str(read(entry))
    return entry[1:-1]
