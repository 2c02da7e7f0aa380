"""Numbers in texts, compared by value."""

import re
from decimal import Decimal
from fractions import Fraction

_SPACES = "\u00a0\u2009\u202f"  # thin or not to be broken: they part thousands, not numbers
_NUMBER = re.compile(
    r"((?<![\w).])[-\u2212\u2013])?"  # a minus between two numbers is no sign
    r"[$\u20ac\u00a3\u00a5\u20b9]?"
    r"(?:(\d+) (?=\d+/\d))?"  # 1 1/2
    rf"(\d+(?:[.,'\u2019{_SPACES}]\d+)*|\.\d+)"
    r"(?:[eE]([-+]?\d{1,3})(?!\w))?"
    r"(?:\s*/\s*(\d+))?"
)
_ENGLISH = re.compile(rf"\d{{1,3}}(?:([,'\u2019{_SPACES}])\d{{3}}(?:\1\d{{3}})*)(?:\.\d+)?")
_EUROPEAN = re.compile(
    rf"\d{{1,3}}(?:\.\d{{3}}){{2,}}|\d{{1,3}}(?:([.{_SPACES}])\d{{3}})(?:\1\d{{3}})*,\d+|\d+,\d+"
)


def last_number(text: str) -> Fraction | None:
    """Return the last number of a text, None if there is none.

    1,000 and 1'000 are 1000; 1.000 is 1; 3,5 and 1.234,56 have a decimal comma; -$2, 2e3, 1/2 and
    1 1/2 are read; the sign of percent is passed over.
    """
    found = _NUMBER.findall(text)
    if not found:
        return None
    sign, whole, digits, exponent, divisor = found[-1]
    value = _read(digits) * Fraction(10) ** int(exponent or 0)
    value = _read(whole or "0") + value / (_read(divisor or "1") or 1)
    return -value if sign else value


def _read(digits: str) -> Fraction:
    """Return the value of digits with what stands between them; of a list its last number."""
    if _ENGLISH.fullmatch(digits):
        plain = re.sub(r"[^\d.]", "", digits)
    elif _EUROPEAN.fullmatch(digits):
        plain = re.sub(r"[^\d,]", "", digits).replace(",", ".")
    else:
        last = re.split(rf"[,'\u2019{_SPACES}]", digits)[-1]
        plain = last if last.count(".") < 2 else last.rpartition(".")[2]
    return Fraction(Decimal(plain))
