"""Ways to the right answer that the base finds itself: several for an input, each way once.

Rejection sampling (RFT, arXiv 2308.01825) trains on them beside the expected answers; reinforced
many-shot prompting (2404.11018) shows them as demonstrations.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from yofo_mlx.evaluation.numbers import last_number
from yofo_mlx.evaluation.prompts import MARGIN
from yofo_mlx.prompting.batched import Written
from yofo_mlx.rehearsal.judges import accepts
from yofo_mlx.rehearsal.rehearse import Rehearsal
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example

_NUMBER = r"-?[\d.,]*\d"
_EQUATION = re.compile(rf"{_NUMBER}(?:\s*[-+*/x]\s*{_NUMBER})+\s*=\s*{_NUMBER}")
_TERM = re.compile(rf"({_NUMBER})|([-+*/x])")


@dataclass(frozen=True)
class Ways:
    """A row, and the ways to its answer that are kept, in the order in which they were found."""

    example: Example
    kept: tuple[str, ...]
    right: int  # of all that were written, the same way again included


@dataclass(frozen=True)
class TaskWays:
    """A task with what was found for each of its rows."""

    entry: TaskEntry
    found: Sequence[Ways]
    samples: int
    shots: int
    too_long: int  # inputs that fit no prompt
    judge: str = field(default="")


class Rationales(Rehearsal):
    """The base, asked several times for each row, at a temperature."""

    def ways(self, entry: TaskEntry, samples: int, temperature: float) -> TaskWays:
        """Return the ways to the answers of a task's rows."""
        task, asker = entry.task, self._asker
        examples = self._drawn(entry)
        segmenter = asker.segmenter(task.instruction)
        longest = max(len(segmenter.answer(one.output)) for one in examples)
        limit = self._given or longest + longest // 2 + MARGIN
        judge = self._settings.judge(task.family) or self._usual(entry)
        first = self._shown(entry, (), limit)
        other = self._shown(entry, first[1], limit) if first[1] else first
        found: dict[Example, Ways] = {}
        for (shown, _), is_first in ((first, True), (other, False)):
            room = self._longest - len(shown.tokens) - limit
            some = [one for one in examples if (one.input not in first[1]) == is_first]
            some = [one for one in some if len(shown.question(one.input)) <= room]
            written = asker.samples(
                shown, [one.input for one in some], limit, samples, temperature, task.name
            )
            for one, texts in zip(some, written, strict=True):
                found[one] = self._kept(entry, judge, one, texts)
        kept = [found[one] for one in examples if one in found]
        return TaskWays(entry, kept, samples, first[0].shots, len(examples) - len(kept), judge)

    def _usual(self, entry: TaskEntry) -> str:
        judge = self._judge(entry)
        return "normalised" if judge == "model" else judge

    def _kept(
        self, entry: TaskEntry, judge: str, example: Example, written: Iterable[Written]
    ) -> Ways:
        whole = [one.text for one in written if one.is_complete and one.text]
        command, said = self._settings.command, self._asker.segmenter("").said
        right = [text for text in whole if accepts(judge, entry, example, text, command, said)]
        return Ways(example, tuple(different(filter(adds_up, right))), len(right))


def skeleton(text: str) -> tuple[str, ...]:
    """Return what makes a way another one: its equations; of a text without any, its words."""
    equations = [re.sub(r"\s", "", found) for found in _EQUATION.findall(text)]
    return tuple(equations or re.findall(r"\w+", text.lower()))


def adds_up(text: str) -> bool:
    """Tell whether every equation of a text is true, to a hundredth of its result."""
    for found in _EQUATION.findall(text):
        left, _, right = found.rpartition("=")
        wanted, value = last_number(right), _value(left)
        if value is None or wanted is None or abs(value - wanted) > abs(wanted) / 100:
            return False
    return True


def _value(text: str) -> Fraction | None:
    """Return what numbers and signs come to, products before sums; None if that is nothing."""
    total, product, sign = Fraction(0), None, "+"
    for number, mark in _TERM.findall(text):
        if mark:
            sign = mark
            continue
        value = last_number(number)
        if value is None or (sign == "/" and not value):
            return None
        if sign in "*x/" and product is not None:
            product = product / value if sign == "/" else product * value
        else:
            total += product or 0
            # The pattern of a number takes the minus of `5-3` with it.
            product = -value if sign == "-" else value
        sign = "+"
    return total + (product or 0)


def different(texts: Iterable[str]) -> list[str]:
    """Return a text for each way; of several, that which is farthest from all others' words."""
    every = list(texts)
    ways: dict[tuple[str, ...], list[str]] = {}
    for text in every:
        ways.setdefault(skeleton(text), []).append(text)
    return [
        max(same, key=lambda one: sum(distance(one.split(), other.split()) for other in every))
        if len(same) > 1
        else same[0]
        for same in ways.values()
    ]


def distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the fewest words to insert, delete or replace (Levenshtein)."""
    before = list(range(len(second) + 1))
    for row, word in enumerate(first, start=1):
        now = [row]
        for place, other in enumerate(second, start=1):
            now.append(min(now[-1] + 1, before[place] + 1, before[place - 1] + (word != other)))
        before = now
    return before[-1]
