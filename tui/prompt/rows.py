"""Demonstrations as rows: which are on, what the model said of them, and every change undone."""

import math
import operator
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, Literal, get_args

from yofo_mlx.tasks.task import Example

MOST_KEPT: Final = 2_000_000  # rows of all states that can be gone back to
Order = Literal["as given", "least expected first", "by answer"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)


@dataclass(frozen=True, slots=True)
class Row:
    """A demonstration, and whether the model is shown it."""

    example: Example
    is_on: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """What a reading says of a demonstration."""

    share: float  # the probability of its answer, 0 to 1
    says: str = ""  # another answer, where that was expected
    is_suspicious: bool = False


class Rows:
    """A list of rows, a view of it (filter and order), and the states before."""

    def __init__(self) -> None:
        self._rows: tuple[Row, ...] = ()
        self._before: list[tuple[Row, ...]] = []
        # What is derived of the rows, found when it is asked for.
        self._places: Sequence[int] | None = None
        self._on: list[Example] | None = None
        self._answers: Counter[str] = Counter()  # of those that are on, kept by what changes
        self._suspicious: list[int] | None = None
        self._texts: list[str] | None = None
        self.told: dict[Example, Told] = {}
        self.filter = ""
        self.order: Order = "as given"

    @property
    def all(self) -> tuple[Row, ...]:
        """Return every row, in the order given."""
        return self._rows

    @property
    def examples(self) -> list[Example]:
        """Return the demonstrations that are on; the same list until there are others."""
        if self._on is None:
            self._on = [row.example for row in self._rows if row.is_on]
        return self._on

    @property
    def answers(self) -> Counter[str]:
        """Return how often each answer is there, of the demonstrations that are on."""
        return self._answers

    @property
    def places(self) -> Sequence[int]:
        """Return the places of the rows that are seen, from 0, in the order they are seen in."""
        if self._places is None:
            self._places = self._seen()
        return self._places

    @property
    def is_as_given(self) -> bool:
        """Tell whether all are seen, in their own order."""
        return not self.filter and self.order == "as given"

    @property
    def suspicious(self) -> list[int]:
        """Return the places of rows that the others contradict, those that are off left out."""
        if self._suspicious is None:
            odd = {one for one, told in self.told.items() if told.is_suspicious}
            rows = enumerate(self._rows) if odd else ()
            self._suspicious = [at for at, row in rows if row.is_on and row.example in odd]
        return self._suspicious

    @property
    def can_undo(self) -> bool:
        """Tell whether there are rows to go back to."""
        return bool(self._before)

    def see(self, filter: str, order: Order) -> None:
        """See only rows that hold these words, in this order."""
        self.filter, self.order, self._places = filter, order, None

    def tell(self, told: dict[Example, Told]) -> None:
        """Keep what a reading says of them."""
        self.told = told
        self._forget()

    def change(self, rows: Iterable[Row]) -> None:
        """Have these rows from now on; `undo` goes back."""
        self._before.append(self._rows)
        while len(self._before) > 1 and sum(map(len, self._before)) > MOST_KEPT:
            del self._before[0]
        self._become(tuple(rows))

    def undo(self) -> bool:
        """Go back to the rows before the last change; tell whether there was one."""
        if not self._before:
            return False
        self._become(self._before.pop())
        return True

    def _become(self, rows: tuple[Row, ...]) -> None:
        """Have these rows; only what is not as before is looked at."""
        before, self._rows = self._rows, rows
        start = _shared(before, rows)
        end = _shared(reversed(before[start:]), reversed(rows[start:]))
        self._count(before[start : len(before) - end], -1)
        self._count(rows[start : len(rows) - end], 1)
        self._forget()

    def _count(self, rows: Sequence[Row], by: int) -> None:
        for row in rows:
            if row.is_on:
                answer = row.example.output
                self._answers[answer] += by
                if not self._answers[answer]:
                    del self._answers[answer]

    def start(self, rows: Iterable[Row]) -> None:
        """Have these as if there had been nothing before."""
        self.change(rows)
        self._before.clear()

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows at the end."""
        self.change((*self._rows, *rows))

    def toggle(self, places: Collection[int]) -> None:
        """Put these off if all of them are on, else on."""
        rows = list(self._rows)
        is_on = not all(rows[place].is_on for place in places)
        for place in places:
            rows[place] = Row(rows[place].example, is_on)
        self.change(rows)

    def drop(self, places: Collection[int]) -> None:
        """Take these out."""
        rows = list(self._rows)
        for place in sorted(places, reverse=True):
            del rows[place]
        self.change(rows)

    def put(self, place: int, example: Example) -> None:
        """Write another demonstration in a row."""
        rows = list(self._rows)
        rows[place] = Row(example, rows[place].is_on)
        self.change(rows)

    def insert(self, place: int, example: Example) -> None:
        """Write a demonstration before a place."""
        self.change((*self._rows[:place], Row(example), *self._rows[place:]))

    def move(self, place: int, by: int) -> bool:
        """Move a row by one place up or down; tell whether there is room."""
        other = place + by
        if not 0 <= other < len(self._rows):
            return False
        rows = list(self._rows)
        rows[place], rows[other] = rows[other], rows[place]
        self.change(rows)
        return True

    def replace_by(self, rows: Iterable[Row]) -> None:
        """Have these instead; one that was off stays off."""
        off = {row.example for row in self._rows if not row.is_on}
        self.change(Row(row.example, False) if row.example in off else row for row in rows)

    def _forget(self) -> None:
        self._places = self._on = self._suspicious = self._texts = None

    def _folded(self) -> list[str]:
        """Return what a filter looks through, kept for the next letter of it."""
        if self._texts is None:
            examples = (row.example for row in self._rows)
            self._texts = [f"{one.input}\n{one.output}".casefold() for one in examples]
        return self._texts

    def _seen(self) -> Sequence[int]:
        words = self.filter.casefold().split()
        found: Sequence[int] = range(len(self._rows))
        if words:
            texts = self._folded()
            found = [at for at in found if all(word in texts[at] for word in words)]
        if self.order == "by answer":
            return sorted(found, key=lambda place: self._rows[place].example.output.casefold())
        return found if self.order == "as given" else sorted(found, key=self._expectation)

    def _expectation(self, place: int) -> tuple[bool, float]:
        """Return what sorts suspicious rows first, then those that were least expected."""
        told = self.told.get(self._rows[place].example)
        return not self._is_suspicious(self._rows[place]), told.share if told else math.inf

    def _is_suspicious(self, row: Row) -> bool:
        told = self.told.get(row.example)
        return told is not None and told.is_suspicious


def _shared(one: Iterable[Row], other: Iterable[Row]) -> int:
    """Return how many rows two lists have in common from their starts on."""
    return sum(takewhile(bool, map(operator.is_, one, other)))


def told_by(facts: dict[str, Any]) -> dict[Example, Told]:
    """Return what a session's health says of each demonstration; of one shown twice, the worse."""
    told: dict[Example, Told] = {}
    for example, said in _told(facts):
        known = told.get(example)
        worse = known is None or (said.is_suspicious, -said.share) > (
            known.is_suspicious,
            -known.share,
        )
        if worse:
            told[example] = said
    return told


def _told(facts: dict[str, Any]) -> Iterator[tuple[Example, Told]]:
    suspicious = set(facts["suspicious"])
    for row in facts["rows"]:
        example = Example(row["input"], row["answer"])
        labelled = row.get("labelled")
        if labelled is None:
            share = math.exp(row["logprob"] / max(row["tokens"], 1))
            yield example, Told(share)
            continue
        says = labelled["expected"] or labelled["others_say"] or ""
        is_suspicious = row["place"] in suspicious
        if is_suspicious and says == example.output:
            says = labelled["others_say"] or ""
        other = says if says != example.output else ""
        yield example, Told(math.exp(labelled["share"]), other, is_suspicious)
