"""What can be said of a set of demonstrations as it stands, without any model."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from yofo_mlx.tasks.families import holds_labels
from yofo_mlx.tasks.spelling import text_key
from yofo_mlx.tasks.task import Example

ALIKE = 0.8  # Jaccard similarity from which two inputs are near-duplicates
_SHINGLE = 5  # letters
_FEW = 8  # demonstrations, below which an order says nothing

Pair = tuple[int, int]
"""Places of two demonstrations, the earlier one first, counted from 0."""


@dataclass(frozen=True)
class Soundness:
    """What is odd about a set; places count from 0, in the order in which it is shown."""

    labels: int  # 0 where answers are no labels
    sortedness: float | None  # 0 as in a random order, 1 label after label; None: cannot be told
    rare: dict[str, int]  # labels with at most a quarter of the usual number, and theirs
    doublets: list[Pair]  # the same input with the same answer
    contradictions: list[Pair]  # the same input with another answer
    near_duplicates: list[Pair]


def look(examples: Sequence[Example], *, at_letters: bool = True) -> Soundness:
    """Look through a set in the order in which it is shown; `at_letters` takes seconds of many."""
    doublets, contradictions = _same_inputs(examples)
    same = {*doublets, *contradictions}
    counts = label_counts(examples)
    alike = _near_duplicates([one.input for one in examples]) if at_letters else []
    return Soundness(
        len(counts),
        sortedness([example.output for example in examples]) if counts else None,
        _rare(counts),
        doublets,
        contradictions,
        [pair for pair in alike if pair not in same],
    )


def label_counts(examples: Sequence[Example]) -> Counter[str]:
    """Count labels; none where answers are no labels."""
    return Counter(one.output for one in examples) if holds_labels(examples) else Counter()


def sortedness(labels: Sequence[str]) -> float | None:
    """Return where equal neighbours stand between a random order (0) and label after label (1)."""
    count, counts = len(labels), Counter(labels)
    most = count - len(counts)
    expected = sum(times * (times - 1) for times in counts.values()) / max(count, 1)
    if count < _FEW or len(counts) < 2 or most - expected < 1:
        return None
    return (sum(one == other for one, other in pairwise(labels)) - expected) / (most - expected)


def is_sorted(labels: Sequence[str]) -> bool:
    """Tell whether labels stand together, which costs 26 to 46 points (2405.00200, section 5)."""
    return (sortedness(labels) or 0.0) >= 0.5


def _rare(counts: Counter[str]) -> dict[str, int]:
    usual = sorted(counts.values())[len(counts) // 2] if counts else 0
    return {label: times for label, times in counts.items() if 4 * times <= usual}


def _same_inputs(examples: Sequence[Example]) -> tuple[list[Pair], list[Pair]]:
    first: dict[str, int] = {}
    doublets, contradictions = list[Pair](), list[Pair]()
    for place, example in enumerate(examples):
        earlier = first.setdefault(text_key(example.input), place)
        if earlier != place:
            same = text_key(examples[earlier].output) == text_key(example.output)
            (doublets if same else contradictions).append((earlier, place))
    return doublets, contradictions


def _near_duplicates(texts: Sequence[str]) -> list[Pair]:
    """Return pairs whose shingles have a Jaccard similarity of ALIKE or more, exactly.

    Of two such sets the rarest few shingles share one (prefix filter, Bayardo et al., WWW 2007):
    only those are looked up.
    """
    sets = [_shingles(text_key(text)) for text in texts]
    times = Counter(shingle for shingles in sets for shingle in shingles)
    holders = defaultdict[str, list[int]](list)
    found: list[Pair] = []
    for place, shingles in enumerate(sets):
        rarest = sorted(shingles, key=lambda shingle: (times[shingle], shingle))
        kept = rarest[: len(rarest) - ceil(ALIKE * len(rarest)) + 1]
        for earlier in sorted({one for shingle in kept for one in holders[shingle]}):
            other = sets[earlier]
            if len(shingles & other) >= ALIKE * len(shingles | other):
                found.append((earlier, place))
        for shingle in kept:
            holders[shingle].append(place)
    return found


def _shingles(text: str) -> set[str]:
    return {text[at : at + _SHINGLE] for at in range(max(1, len(text) - _SHINGLE + 1))}
