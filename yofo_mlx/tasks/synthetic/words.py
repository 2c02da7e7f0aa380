"""Words that say nothing."""

from collections.abc import Sequence
from random import Random

from yofo_mlx.tasks.suite.skills import Lexicon
from yofo_mlx.tasks.suite.vocabulary import NUMBERS


def arbitrary(
    random: Random, words: Lexicon, count: int, avoid: Sequence[Sequence[str]] = ()
) -> list[str]:
    """Return labels that say nothing: names, numbers, or words of topics that are not asked."""
    taken = {word for topic in avoid for word in topic}
    others = [word for word in words.words if word not in taken]
    pools = [list(words.names), list(NUMBERS), others]
    return random.sample(random.choice([pool for pool in pools if len(pool) >= count]), count)
