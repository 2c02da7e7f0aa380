"""How demonstrations come in: pasted text, a dropped file, a named set; read in a thread."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from yofo_mlx.errors import YofoError
from yofo_mlx.prompting import demonstrations, sets
from yofo_mlx.prompting.demonstrations import Parsed, Rejected, Style
from yofo_mlx.prompting.soundness import Pair, Soundness, look

from .rows import Row

How = Literal["append", "replace", "open", "again"]


@dataclass(frozen=True)
class Coming:
    """Texts that are to be read, or the name of a set, and what becomes of the rows there are."""

    how: How
    texts: tuple[str, ...]


def read(coming: Coming, run: str | None) -> list[Parsed]:
    """Read what comes as the run was trained; what cannot be read is a problem."""
    style = style_of(run)
    if coming.how == "open":
        return [demonstrations.read(sets.get(name).name, style) for name in coming.texts]
    return [_read_text(text, style) for text in coming.texts]


def style_of(run: str | None) -> Style | None:
    """Return how a run's rows are read; as they look where that is not known."""
    try:
        return demonstrations.style_of(run)
    except YofoError:
        return None


def _read_text(text: str, style: Style | None) -> Parsed:
    path = dropped_file(text)
    if path is None:
        return demonstrations.parse(text, style)
    try:
        return demonstrations.read(str(path), style)
    except YofoError as error:
        return Parsed((), (Rejected(0, f"{error.message}: {error.hint}", str(path)),), path.name)


def dropped_file(text: str) -> Path | None:
    """Return the file whose path is all of a text, as terminals paste one that is dropped."""
    line = text.strip()
    if not line or "\n" in line or "\r" in line or len(line) > 4_096:
        return None
    try:
        words = shlex.split(line)
        path = Path(words[0]).expanduser()
        return path if len(words) == 1 and path.is_absolute() and path.is_file() else None
    except (ValueError, OSError, RuntimeError):
        return None


def look_through(rows: Sequence[Row]) -> Soundness:
    """Return what is odd about the rows that are on, by their places; no model is asked."""
    places = [place for place, row in enumerate(rows) if row.is_on]
    found = look([rows[place].example for place in places], at_letters=False)

    def placed(pairs: list[Pair]) -> list[Pair]:
        return [(places[one], places[other]) for one, other in pairs]

    return replace(
        found, doublets=placed(found.doublets), contradictions=placed(found.contradictions)
    )
