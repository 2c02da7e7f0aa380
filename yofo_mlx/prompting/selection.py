"""Which of many demonstrations are shown, and in which order: a pure function of them and a seed.

One order holds them all, labels in turn; what is shown is its beginning, as far as there is room.
So k shots are the first of k + 1 shots, and what was shown before stays where it stands.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from yofo_mlx.tasks.families import holds_labels
from yofo_mlx.tasks.task import Example

LARGEST_ROOM = 512  # tokens kept free for a query and its answer, if demonstrations are short
_PATIENCE = 32  # misfits in a row, after which the room counts as used up


@dataclass(frozen=True)
class Room:
    """What the demonstrations may take: tokens in all, of which the opening takes some."""

    limit: int | None
    opening: int = 0

    def holds(self, tokens: int, longest: int) -> bool:
        """Tell whether a query as long as the longest demonstration fits behind so many tokens."""
        if self.limit is None:
            return True
        kept = max(least_room(self.limit), min(longest, self.limit // 4))
        return self.opening + tokens + kept <= self.limit


@dataclass(frozen=True)
class Choice:
    """The demonstrations to show, in their order, and what became of the others."""

    examples: tuple[Example, ...]
    offered: int
    doublets: int = 0
    too_long: int = 0  # those met that would not fit even alone
    labels: int = 0  # 0 where answers are no labels
    labels_missing: tuple[str, ...] = ()
    contradictions: int = 0  # inputs that are offered with more than one answer
    stayed: int = 0  # those shown before
    displaced: tuple[Example, ...] = ()  # those shown before that had to make place

    @property
    def unused(self) -> int:
        """Return how many were offered, could have been shown, and are not."""
        return self.offered - len(self.examples) - self.doublets - self.too_long


def least_room(limit: int) -> int:
    """Return the tokens of a context that are kept for a query and its answer at least."""
    return min(LARGEST_ROOM, limit // 8)


def choose(
    offered: Sequence[Example],
    *,
    seed: int,
    room: Room,
    length: Callable[[Example], int],
    shots: int | None = None,
    shown: Sequence[Example] = (),
    known: Collection[Example] = (),
) -> Choice:
    """Choose at most so many shots; `length` is the tokens that one takes.

    Those `shown` already stay first. Then come those that were not `known` when these were chosen:
    where the room is full, the last of the shown ones make place for them, half of it at most.
    """
    distinct = list(dict.fromkeys(offered))
    there = set(distinct)
    staying = [example for example in dict.fromkeys(shown) if example in there]
    fresh = [example for example in distinct if staying and example not in known]
    staying = _staying(staying, fresh, room, length, shots)
    labels = Counter(one.output for one in distinct) if holds_labels(distinct) else Counter[str]()

    def order(brief: bool) -> list[Example]:
        first = _arranged(staying, fresh, bool(labels), seed, brief)
        return _arranged(first, distinct, bool(labels), seed, brief)

    def missing(some: list[Example]) -> set[str]:
        return set(labels) - {example.output for example in fitting(some, room, length)[0]}

    arranged = order(brief=False)
    if missing(arranged):
        arranged = min(arranged, order(brief=True), key=lambda some: len(missing(some)))
    chosen, too_long = fitting(arranged, room, length, shots)
    before = [] if shots is not None and shots < len(shown) else list(dict.fromkeys(shown))
    met = {example.output for example in chosen}
    return Choice(
        tuple(chosen),
        len(offered),
        len(offered) - len(distinct),
        too_long,
        len(labels),
        tuple(label for label in labels if label not in met),
        sum(times > 1 for times in Counter(example.input for example in distinct).values()),
        len(staying),
        tuple(example for example in before if example in there.difference(chosen)),
    )


def balanced(examples: Iterable[Example], seed: int) -> list[Example]:
    """Return distinct demonstrations in the order they are shown, labels in turn."""
    distinct = list(dict.fromkeys(examples))
    return _arranged([], distinct, holds_labels(distinct), seed, brief=False)


def as_given(examples: Sequence[Example]) -> Choice:
    """Choose all of them as they stand."""
    return Choice(tuple(examples), len(examples))


def _staying(
    shown: list[Example],
    fresh: Iterable[Example],
    room: Room,
    length: Callable[[Example], int],
    shots: int | None,
) -> list[Example]:
    """Return the first of those shown, as many as leave the fresh ones their share."""
    wanted = count = longest = 0
    for example in fresh:
        wanted, count = wanted + length(example), count + 1
        longest = max(longest, length(example))
        if room.limit is not None and 2 * wanted > room.limit:
            wanted = room.limit // 2
            break
    most = None if shots is None else shots - min(count, shots // 2)
    staying, tokens = list[Example](), wanted
    for example in shown[:most]:
        tokens, longest = tokens + length(example), max(longest, length(example))
        if not room.holds(tokens, longest):
            break
        staying.append(example)
    return staying if count else shown


def _arranged(
    first: list[Example], others: Iterable[Example], by_label: bool, seed: int, brief: bool
) -> list[Example]:
    """Return all in the order they are shown: the first ones, then round after round of labels.

    A round holds one of each label that has any left. Where they stand in the file does not matter.
    `brief`: the first of a label is its shortest.
    """
    queues = defaultdict[str, list[Example]](list)
    taken = Counter(one.output if by_label else "" for one in first)
    left = set(others) - set(first)
    for example in sorted(left, key=lambda one: _draw(seed, one.input, one.output)):
        queues[example.output if by_label else ""].append(example)
    rounds: list[tuple[int, bytes, Example]] = []
    for label, queue in queues.items():
        if brief and not taken[label]:
            queue.insert(0, queue.pop(queue.index(min(queue, key=_letters))))
        for rank, example in enumerate(queue, start=taken[label]):
            rounds.append((rank, _draw(seed, str(rank), label), example))
    return first + [example for _, _, example in sorted(rounds, key=lambda one: one[:2])]


def fitting(
    order: Iterable[Example],
    room: Room,
    length: Callable[[Example], int],
    shots: int | None = None,
) -> tuple[list[Example], int]:
    """Return those that fit, one after the other, and how many of the rest never would."""
    shown: list[Example] = []
    tokens = longest = misfits = too_long = 0
    for example in order:
        if len(shown) == shots or misfits == _PATIENCE:
            break
        size = length(example)
        if room.holds(tokens + size, max(longest, size)):
            shown.append(example)
            tokens, longest, misfits = tokens + size, max(longest, size), 0
        elif room.holds(size, size):
            misfits += 1
        else:
            too_long += 1
    return shown, too_long


def _letters(example: Example) -> int:
    return len(example.input) + len(example.output)


def _draw(seed: int, *words: str) -> bytes:
    """Return a number, as it were, that depends on the seed and the words alone."""
    text = "\0".join((str(seed), *words)).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).digest()
