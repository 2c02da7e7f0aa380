"""How good demonstrations are for the model that has read them, from that reading alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from yofo_mlx.prompting.label_readings import Labelled, labelled_rows
from yofo_mlx.prompting.learning import Foretold, Learning, learning_of
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.readings import Expected
from yofo_mlx.prompting.soundness import Pair, Soundness, is_sorted, label_counts, look
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import shorten, some_of
from yofo_mlx.tasks.task import Example

_SHOWN, _SHOWN_PAIRS = 10, 3  # rows and labels, and pairs, that are named


@dataclass(frozen=True)
class Row:
    """A demonstration, and what the model thought of its answer, those before it being given."""

    place: int  # from 1, in the order shown
    input: str
    answer: str
    logprob: float  # in nats, of `tokens` tokens of the answer and its end
    tokens: int  # the first 16; where answers are labels, those at which labels part
    seen: int  # demonstrations before it that have the same answer
    labelled: Labelled | None = None  # None where answers are no labels


@dataclass(frozen=True)
class Health:
    """What a reading of demonstrations says of them."""

    rows: list[Row]
    unread: int  # demonstrations of which nothing is known: not read yet, or taken from a file
    learning: Learning

    @cached_property
    def soundness(self) -> Soundness:
        """What can be said of them without a model."""
        return look([Example(row.input, row.answer) for row in self.rows])

    @property
    def suspicious(self) -> list[Row]:
        """Return the rows that the others contradict, the worst first."""
        flagged = [row for row in self.rows if row.labelled and row.labelled.is_suspicious]
        return sorted(flagged, key=lambda row: -row.labelled.suspicion if row.labelled else 0.0)

    def as_json(self, *, with_labels: bool = False) -> dict[str, Any]:
        """Return it as JSON; `with_labels`: with the shares of all labels at each row."""
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            if row["labelled"] and not with_labels:
                del row["labelled"]["shares"]
        return {
            "shots": len(self.rows) + self.unread,
            "unread": self.unread,
            "told": list(self.told()),
            "alarms": list(self.alarms()),
            "suspicious": [row.place for row in self.suspicious],
            "learning": asdict(self.learning),
            "soundness": asdict(self.soundness),
            "rows": rows,
        }

    def alarms(self) -> Iterator[str]:
        """Say what is so wrong that answers cannot be good."""
        labels = [row.answer for row in self.rows]
        if any(row.labelled for row in self.rows) and is_sorted(labels):
            yield "labels stand together instead of mixed, which costs much accuracy: mix them"
        if len(labels) > 1 and len(set(labels)) == 1:
            yield "all answers are the same label"
        if self.learning.is_understood is False:
            yield self.learning.told
        if 5 * len(self.suspicious) > len(self.rows) > 1:
            yield f"the others contradict {len(self.suspicious):,} of {len(self.rows):,}"

    def told(self) -> Iterator[str]:
        """Say all of it in sentences."""
        if self.unread:
            yield f"of {plural(self.unread, 'demonstration')} nothing is known: not read yet"
        yield self.learning.told
        yield from (one for one in self.alarms() if one != self.learning.told)
        yield from self._contradicted()
        if rare := self.soundness.rare:
            names = some_of([f"{shorten(label, 40)} ({n})" for label, n in rare.items()], _SHOWN)
            yield f"rare are {len(rare):,} of the labels: {names}"
        yield from self._pairs("the same twice", self.soundness.doublets)
        yield from self._pairs("one input, two answers", self.soundness.contradictions)
        yield from self._pairs("nearly the same input", self.soundness.near_duplicates)

    def _contradicted(self) -> Iterator[str]:
        found = self.suspicious
        for row in found[:_SHOWN]:
            labelled = row.labelled
            assert labelled is not None
            points = (
                f": the others say {shorten(labelled.others_say, 40)}"
                if labelled.others_say
                else ""
            )
            expected = (
                f", expected there {shorten(labelled.expected, 40)}" if labelled.expected else ""
            )
            yield f"suspicious is {self._shown(row.place - 1)}{points}{expected}"
        if len(found) > _SHOWN:
            yield f"suspicious are {len(found) - _SHOWN:,} more"

    def _pairs(self, what: str, pairs: Sequence[Pair]) -> Iterator[str]:
        if pairs:
            named = [f"{self._shown(one)} and {self._shown(two)}" for one, two in pairs]
            yield f"{what}: {some_of(named, _SHOWN_PAIRS, '; ')}"

    def _shown(self, at: int) -> str:
        row = self.rows[at]
        return f"{row.place} ({shorten(row.input, 50)} -> {shorten(row.answer, 30)})"


def health_of(prefix: Prefix) -> Health:
    """Return the health of demonstrations as far as they are read; nothing is read for it."""
    examples = prefix.demonstrations[: prefix.answers_known]
    noted = list(map(prefix.expected, range(len(examples))))
    counts = label_counts(examples)
    labelled: Sequence[Labelled | None] = [None] * len(examples)
    if len(counts) > 1:
        labelled = labelled_rows(prefix, [example.output for example in examples], noted)
    rows = _rows(examples, noted, labelled)
    most = max(counts.values(), default=0) / max(len(rows), 1)
    unread = len(prefix.demonstrations) - len(rows)
    return Health(rows, unread, learning_of(list(map(_foretold, rows)), most))


def _rows(
    examples: Sequence[Example],
    noted: Sequence[list[Expected]],
    labelled: Sequence[Labelled | None],
) -> list[Row]:
    rows, seen = list[Row](), Counter[str]()
    for example, expected, labels in zip(examples, noted, labelled, strict=True):
        logprob = float(sum(one.logprobs[0] for one in expected))
        before = seen[example.output]
        place = len(rows) + 1
        tokens = sum(not one.is_settled for one in expected)
        rows.append(Row(place, example.input, example.output, logprob, tokens, before, labels))
        seen[example.output] += 1
    return rows


def _foretold(row: Row) -> Foretold:
    if row.labelled is None:
        return Foretold(-row.logprob / max(row.tokens, 1))
    return Foretold(-row.labelled.share, row.labelled.expected == row.answer)
