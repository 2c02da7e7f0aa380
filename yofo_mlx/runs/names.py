"""What runs are called: letters and digits of any script, found by a part that only one has."""

import difflib
import os
import re
import unicodedata
from collections.abc import Sequence

from yofo_mlx.errors import RecipeError
from yofo_mlx.system.text import shorten

NEWEST = "last"
_LONGEST = 200  # bytes; file systems take 255
_DATED = re.compile(r"(\d{8}-)(\d{6}-)(.+)", re.DOTALL)


def slug(name: str) -> str:
    """Reduce a name to letters and digits, of any script, and dashes between them."""
    return _reduced(name)[:40].strip("-") or "run"


def chosen(name: str) -> str:
    """Return the name that a user chose for a run, as a folder can have it."""
    reduced = _reduced(name)
    shown = shorten(name, 60)
    if not reduced:
        raise RecipeError(f"{shown!r} holds no letter and no digit", "give a name that does")
    if reduced == NEWEST:
        raise RecipeError(f"`{NEWEST}` means the newest run, and no other", "choose another name")
    if len(os.fsencode(reduced)) > _LONGEST:
        raise RecipeError(f"{shown!r} is too long for a folder", "choose a shorter name")
    return reduced


def folded(name: str) -> str:
    """Return what two names have in common that are told apart by case or encoding alone."""
    return unicodedata.normalize("NFC", name).casefold()


def matching(name: str, names: Sequence[str]) -> list[str]:
    """Return the names that `name` may stand for: itself, else those it is a part of.

    Else those it is a part of as a folder's name, `My Run` of `my-run`; a path is none.
    """
    if name in names:
        return [name]
    parts = [folded(name), "" if os.sep in name else folded(_reduced(name))]
    found = ([one for one in names if part in folded(one)] for part in parts if part)
    return next(filter(None, found), [])


def short(names: Sequence[str]) -> list[str]:
    """Return each name without date and time, as far as it still stands for that one alone."""
    everyone = [folded(name) for name in names]

    def is_enough(tail: str) -> bool:
        part = folded(tail)
        return sum(part in one for one in everyone) == 1

    return [next(filter(is_enough, _tails(name)), name) for name in names]


def undated(name: str) -> str:
    """Return a run's name without the date and time before it."""
    dated = _DATED.fullmatch(name)
    return dated[3] if dated else name


def closest(name: str, names: Sequence[str]) -> str | None:
    """Return the name that somebody may have meant."""
    known = {folded(tail): one for one in reversed(names) for tail in _tails(one)}
    known |= {NEWEST: NEWEST} if names else {}
    close = difflib.get_close_matches(folded(name), known, n=1)
    return known[close[0]] if close else None


def ambiguous(name: str, matches: Sequence[str]) -> RecipeError:
    """Return the refusal of a name that may stand for several runs."""
    more = f" and {len(matches) - 5} more" if len(matches) > 5 else ""
    return RecipeError(
        f"{shorten(name, 200)!r} could be any of {len(matches)} runs",
        f"write more of the id: {', '.join(matches[:5])}{more}",
    )


def _tails(name: str) -> list[str]:
    """Return what a name may be shortened to, the shortest first, itself last."""
    if not (dated := _DATED.fullmatch(name)):
        return [name]
    _, time, rest = dated.groups()
    return [tail for tail in (rest, time + rest) if tail != NEWEST] + [name]


def _reduced(name: str) -> str:
    text = unicodedata.normalize("NFC", name.lower())
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return "-".join("".join(kept).split())
