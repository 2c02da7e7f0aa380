"""What is wrong with a data set, and where."""

import re
from dataclasses import dataclass
from typing import Literal

from yofo_mlx.system.text import clip, printable

Unit = Literal["line", "record"]
Severity = Literal["error", "warning"]
_QUOTED_OR_NUMBER = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,]*")
_MOST = 500  # characters shown of what may quote the data, or be a path of any length


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a text file, or a record of a file without lines; number 0 is the whole file."""

    path: str
    number: int = 0
    unit: Unit = "line"

    def __str__(self) -> str:
        path = clip(self.path, _MOST)
        if not self.number:
            return path
        mark = ":" if self.unit == "line" else ": record "
        return f"{path}{mark}{self.number}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: an error stops an import, a warning does not."""

    place: Place
    message: str
    hint: str = ""
    severity: Severity = "error"
    kind: str = ""
    """What problems of one sort share; left out: the message without what it quotes."""
    is_remark: bool = False
    """Whether it costs no row: how something was read that is not plain."""
    ends_file: bool = False
    """Whether all that follows in the file is lost, not this row alone."""

    def __post_init__(self) -> None:
        kind = self.kind or _QUOTED_OR_NUMBER.sub("…", self.message).split(": ")[0]
        object.__setattr__(self, "kind", clip(kind, _MOST))
        object.__setattr__(self, "message", clip(self.message, _MOST))
        object.__setattr__(self, "hint", clip(self.hint, _MOST))

    @property
    def path(self) -> str:
        """File the problem is in."""
        return self.place.path

    @property
    def line(self) -> int:
        """Line or record number, 0 for the whole file."""
        return self.place.number

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"

    def in_full(self) -> str:
        """Return it on one printable line, with what to do about it."""
        hint = f" ({self.hint})" if self.hint else ""
        return printable(f"{self.place}: {self.severity}: {self.message}{hint}")


def remark(place: Place, message: str, hint: str) -> Problem:
    """Return a warning that costs no row."""
    return Problem(place, message, hint, "warning", is_remark=True)


class RowError(Exception):
    """A row that becomes no example; the caller knows its place.

    A warning where the row itself says so, such as an answer of weight 0.
    """

    def __init__(self, message: str, hint: str = "", severity: Severity = "error") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.severity = severity

    def at(self, place: Place) -> Problem:
        """Return the problem it is, now that the place is known."""
        return Problem(place, self.message, self.hint, self.severity)


def errors(problems: list[Problem]) -> list[Problem]:
    """Return the problems that stop an import."""
    return [problem for problem in problems if problem.severity == "error"]
