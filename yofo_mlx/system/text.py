"""Text that comes from data, made safe to print."""

import json
import re
from collections.abc import Sequence
from typing import Any

# C0 and C1 controls, bidirectional overrides, invisible separators and stray surrogates: what a
# terminal would obey, or what would make a line look other than it is.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, keep: str = "") -> str:
    """Return `text` with control characters escaped visibly, except those in `keep`."""
    return _UNSAFE.sub(lambda found: _escape(found[0], keep), text)


def escaped(text: str, keep: str = "") -> str:
    """Return `text` with control characters escaped as JSON and TOML do it in strings."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _unicode(found[0]), text)


def json_line(value: Any) -> str:
    """Return a value as JSON on one line of ASCII without control characters."""
    return escaped(json.dumps(value))


def is_utf8(text: str) -> bool:
    """Tell whether UTF-8 can hold a text, such as a path; file systems take any bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def shorten(text: str, width: int = 80) -> str:
    """Return `text` on one printable line of at most `width` characters."""
    return clip(printable(text[: width + 1]), width)


def clip(text: str, width: int) -> str:
    """Return at most `width` characters of `text`, as they are."""
    return text if len(text) <= width else text[: width - 1] + "…"


def some_of(words: Sequence[str], most: int, between: str = ", ") -> str:
    """Return the first of some words, and how many more there are."""
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def reason(error: BaseException) -> str:
    """Return the first line of what an exception says, or its kind where it says nothing."""
    return shorten(str(error).split("\n")[0], 300) or type(error).__name__


def _escape(character: str, keep: str) -> str:
    if character in keep:
        return character
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else _unicode(character))


def _unicode(character: str) -> str:
    return f"\\u{ord(character):04x}"
