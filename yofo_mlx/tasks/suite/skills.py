"""What the embedded model practises: skills that draw (input words, output words) pairs.

A skill instance is a closure with its own topics, labels or mapping. Pre-training writes its pairs
in many notations, the task suite in one that pre-training never used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from yofo_mlx.tasks.suite.vocabulary import FUNCTION_WORDS

Words = list[str]
Pair = tuple[Words, Words]
Draw = Callable[[], Pair]
Pattern = tuple[int, ...]

# Rewriting three words: which of them the output repeats, in which order.
PATTERNS: tuple[Pattern, ...] = tuple(
    pattern for size in (1, 2, 3) for pattern in product(range(3), repeat=size)
)

ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "sum": lambda a, b: a + b,
    "larger": max,
    "double-first": lambda a, b: 2 * a,
    "sum-and-one": lambda a, b: a + b + 1,
    "smaller": min,
    "difference": lambda a, b: abs(a - b),
    "double-second": lambda a, b: 2 * b,
}


@dataclass(frozen=True)
class Lexicon:
    """The words an instance may use."""

    topics: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Return the words of all topics."""
        return tuple(word for topic in self.topics for word in topic)


def topical(random: Random, topic: Sequence[str], count: int, filler: float = 0.0) -> Words:
    """Return `count` different words of a topic, some replaced by function words but never all."""
    words = random.sample(topic, count)
    kept = random.randrange(count)
    return [
        random.choice(FUNCTION_WORDS) if index != kept and random.random() < filler else word
        for index, word in enumerate(words)
    ]


def classify(random: Random, lexicon: Lexicon, classes: int, most: int = 4) -> Draw:
    """Two to `most` words of one topic -> the name that stands for the topic."""
    topics, names = random.sample(lexicon.topics, classes), random.sample(lexicon.names, classes)

    def draw() -> Pair:
        label = random.randrange(classes)
        return topical(random, topics[label], random.randint(2, most), 0.15), [names[label]]

    return draw


def classify_two(random: Random, lexicon: Lexicon, classes: int, each: int = 1) -> Draw:
    """Words of one topic, then words of another -> both names."""
    topics, names = random.sample(lexicon.topics, classes), random.sample(lexicon.names, classes)

    def draw() -> Pair:
        first, second = random.sample(range(classes), 2)
        words = topical(random, topics[first], each) + topical(random, topics[second], each)
        return words, [names[first], names[second]]

    return draw


def relate(random: Random, lexicon: Lexicon, classes: int) -> Draw:
    """Two words -> one name if they share their topic, another if not."""
    topics, names = random.sample(lexicon.topics, classes), random.sample(lexicon.names, 2)

    def draw() -> Pair:
        same = random.random() < 0.5
        first, second = random.sample(topics, 2)
        words = random.sample(first, 2) if same else [random.choice(first), random.choice(second)]
        return [words[0], "|", words[1]], [names[0] if same else names[1]]

    return draw


def look_up(random: Random, lexicon: Lexicon, facts: int) -> Draw:
    """`name word name word ... ? name` -> the word after that name."""
    things = lexicon.words

    def draw() -> Pair:
        owners, owned = random.sample(lexicon.names, facts), random.sample(things, facts)
        text = [word for fact in zip(owners, owned, strict=True) for word in fact]
        asked = random.randrange(facts)
        return [*text, "?", owners[asked]], [owned[asked]]

    return draw


def rewrite(random: Random, lexicon: Lexicon, pattern: Pattern) -> Draw:
    """Three words -> the words at the pattern's places."""
    words = lexicon.words

    def draw() -> Pair:
        given = random.sample(words, 3)
        return given, [given[place] for place in pattern]

    return draw


def encipher(random: Random, lexicon: Lexicon, symbols: int, length: int, codes: Words) -> Draw:
    """Words -> the code of each, from a random table."""
    keys = random.sample(lexicon.words, symbols)
    table = dict(zip(keys, random.sample(codes, symbols), strict=True))

    def draw() -> Pair:
        given = [random.choice(keys) for _ in range(length)]
        return given, [table[key] for key in given]

    return draw


def calculate(random: Random, operation: str) -> Draw:
    """Two digits -> the operation's result."""
    function = ARITHMETIC[operation]

    def draw() -> Pair:
        a, b = random.randrange(10), random.randrange(10)
        return [str(a), str(b)], [str(function(a, b))]

    return draw


def spot(random: Random, lexicon: Lexicon, classes: int) -> Draw:
    """Three words of different topics -> the one of a topic that the instance always wants."""
    wanted, *others = random.sample(lexicon.topics, classes)

    def draw() -> Pair:
        found = random.choice(wanted)
        words = [found, *(random.choice(topic) for topic in random.sample(others, 2))]
        random.shuffle(words)
        return words, [found]

    return draw


def classify_last(random: Random, lexicon: Lexicon, classes: int) -> Draw:
    """Three words of different topics -> the name that stands for the last word's topic."""
    topics, names = random.sample(lexicon.topics, classes), random.sample(lexicon.names, classes)

    def draw() -> Pair:
        chosen = random.sample(range(classes), 3)
        return [random.choice(topics[index]) for index in chosen], [names[chosen[-1]]]

    return draw
