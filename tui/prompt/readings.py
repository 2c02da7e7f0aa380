"""How demonstrations come in: pasted text, a dropped file, a named set; read in a thread."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from yofo_mlx.errors import YofoError
from yofo_mlx.prompting import demonstrations, sets
from yofo_mlx.prompting.demonstrations import Parsed, Rejected, Style
from yofo_mlx.prompting.soundness import Pair, Soundness, look

from ..shared.dropped import files_in
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
    return [parsed for text in coming.texts for parsed in _read_text(text, style)]


def style_of(run: str | None) -> Style | None:
    """Return how a run's rows are read; as they look where that is not known."""
    try:
        return demonstrations.style_of(run)
    except YofoError:
        return None


def _read_text(text: str, style: Style | None) -> list[Parsed]:
    files = files_in(text)
    return [_read_file(path, style) for path in files] or [demonstrations.parse(text, style)]


def _read_file(path: Path, style: Style | None) -> Parsed:
    try:
        return demonstrations.read(str(path), style)
    except YofoError as error:
        return Parsed((), (Rejected(0, f"{error.message}: {error.hint}", str(path)),), path.name)


def look_through(rows: Sequence[Row]) -> Soundness:
    """Return what is odd about the rows that are on, by their places; no model is asked."""
    places = [place for place, row in enumerate(rows) if row.is_on]
    found = look([rows[place].example for place in places], at_letters=False)

    def placed(pairs: list[Pair]) -> list[Pair]:
        return [(places[one], places[other]) for one, other in pairs]

    return replace(
        found, doublets=placed(found.doublets), contradictions=placed(found.contradictions)
    )
