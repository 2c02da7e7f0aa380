"""What the name of a generated source stands for: tasks of a kind, by their numbers."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from yofo_mlx.errors import DataError
from yofo_mlx.recipe.family import Family
from yofo_mlx.recipe.names import GENERATED
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.suite.tasks import HELD_OUT, Role
from yofo_mlx.tasks.synthetic.kinds import KINDS, MIXED

ALL = "all"  # the kinds of MIXED in turn
USUAL = 20  # tasks of a name that gives no number
MOST = 10_000
_NAME = re.compile(
    rf"(?P<new>{HELD_OUT})?(?P<kind>[a-z]+)"
    r"(-(?P<one>\d{1,9})|:(?P<first>\d{1,9})(-(?P<last>\d{1,9}))?)?(@(?P<seed>\d{1,9}))?"
)


@dataclass(frozen=True)
class Named:
    """One generated task: its kind, whether it is held out, its number, the seed."""

    kind: str
    role: Role
    number: int
    seed: int = 0

    @property
    def group(self) -> str:
        """Return what all tasks of its kind and role are called."""
        return f"{HELD_OUT if self.role == 'held_out' else ''}{self.kind}"

    @property
    def name(self) -> str:
        """Return its own name, which is also the source that stands for it alone."""
        return f"{self.group}-{self.number:03}{f'@{self.seed}' if self.seed else ''}"

    @property
    def source(self) -> str:
        """Return the `source` that stands for it alone."""
        return f"{GENERATED}{self.name}"

    @property
    def input(self) -> str:
        """Return what of its rows is the input, where nobody says."""
        return KINDS[self.kind].input

    @property
    def family(self) -> Family:
        """Return the family of its kind."""
        return KINDS[self.kind].family


def is_generated(source: str) -> bool:
    """Tell whether a source is generated."""
    return source.startswith(GENERATED)


def is_one(source: str) -> bool:
    """Tell whether a source names one generated task; of one that is misspelled, so it is."""
    try:
        named(source)
    except DataError:
        return True
    return re.search(r"-\d+(@\d+)?$", source) is not None and ":" not in _bare(source)


def named(source: str) -> list[Named]:
    """Return the tasks that a source stands for, or raise DataError.

    `KIND:100` are the first hundred, `KIND:100-199` the next, `KIND-7` is one; `@SEED` draws anew.
    """
    found = _NAME.fullmatch(_bare(source))
    if found is None or found["kind"] not in (*KINDS, ALL):
        raise DataError(f"{shorten(source)}: no such generated tasks", _guess(source))
    numbers = _numbers(found)
    if not 0 < len(numbers) <= MOST:
        wrong = "no task" if not numbers else f"{len(numbers):,} tasks"
        hint = f"from 1 to {MOST:,} at a time, such as {GENERATED}{found['kind']}:0-99"
        raise DataError(f"{shorten(source)}: stands for {wrong}", hint)
    role: Role = "held_out" if found["new"] else "train"
    kinds: Sequence[str] = MIXED if found["kind"] == ALL else (found["kind"],)
    seed = int(found["seed"] or 0)
    return [Named(kinds[number % len(kinds)], role, number, seed) for number in numbers]


def only(source: str) -> Named | None:
    """Return the one generated task that a source stands for, None if it stands for none."""
    if not is_generated(source) or not is_one(source):
        return None
    try:
        return named(source)[0]
    except DataError:
        return None  # reading it says what is wrong


def _numbers(found: re.Match[str]) -> range:
    if found["one"]:
        return range(int(found["one"]), int(found["one"]) + 1)
    if found["last"]:
        return range(int(found["first"]), int(found["last"]) + 1)
    return range(int(found["first"] or USUAL))


def _bare(source: str) -> str:
    return source.removeprefix(GENERATED)


def _guess(source: str) -> str:
    known = [*KINDS, ALL]
    kinds = [*known, *(f"{HELD_OUT}{kind}" for kind in known)]
    close = difflib.get_close_matches(re.split(r"[:@\d]", _bare(source))[0].strip("-"), kinds, n=1)
    guess = f"did you mean {GENERATED}{close[0]}? " if close and close[0] != _bare(source) else ""
    forms = f"{GENERATED}KIND, KIND:100, KIND:100-199 or KIND-7, with @SEED behind it"
    return f"{guess}it is {forms}; kinds are {', '.join(known)}, held out new-KIND"
