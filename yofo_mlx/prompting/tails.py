"""The bulk of demonstrations that all queries see, and the tail that each one has of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting import selection
from yofo_mlx.prompting.adaptive import AdaptiveTail
from yofo_mlx.prompting.choosing import Division
from yofo_mlx.prompting.context import OnChunk
from yofo_mlx.prompting.prefix import Prefix, Tails
from yofo_mlx.prompting.retrieval import Similarity, SimilarTail
from yofo_mlx.prompting.selection import Choice, Room
from yofo_mlx.recipe.ways import Way
from yofo_mlx.tasks.task import Example

_LOOKED_AT = 64  # demonstrations that tell how long those of a tail will be


@dataclass(frozen=True)
class Sight:
    """What queries may see: of so many demonstrations, in so many tokens."""

    way: Way
    division: Division
    offered: Sequence[Example]
    seed: int
    limit: int | None
    """The most tokens of demonstrations with a query and its answer."""

    def choose(
        self,
        segmenter: Segmenter,
        shown: Sequence[Example] = (),
        known: frozenset[Example] = frozenset(),
    ) -> Choice:
        """Choose the bulk; room is left for the tail."""
        if not self.division.has_bulk:
            return Choice((), len(self.offered))
        length = lengths_of(segmenter)
        opening = len(segmenter.opening) + self._kept_for_tail(length)
        return selection.choose(
            self.offered,
            seed=self.seed,
            room=Room(self.limit, opening),
            length=length,
            shots=self.division.bulk,
            shown=shown,
            known=known,
        )

    def tails(self, prefix: Prefix, on_chunk: OnChunk) -> Tails | None:
        """Return what gives each query its tail behind a bulk that is read."""
        if not self.division.has_tail:
            return None
        order = selection.balanced(self.offered, self.seed)
        similar = SimilarTail(
            Similarity(order),
            Room(self.limit, len(prefix.tokens)),
            lengths_of(prefix.segmenter),
            self.division.tail,
            frozenset(prefix.demonstrations),
        )
        if self.way != "adaptive":
            return similar
        adaptive = AdaptiveTail(prefix, similar)
        adaptive.fit(order, on_chunk)
        return adaptive

    def _kept_for_tail(self, length: Callable[[Example], int]) -> int:
        """Return tokens for a tail of the longest ones among some, a quarter of all at most."""
        if not self.division.tail or self.limit is None:
            return 0
        some = selection.balanced(self.offered, self.seed)[:_LOOKED_AT]
        longest = sorted(map(length, some), reverse=True)[: self.division.tail]
        return min(self.limit // 4, sum(longest))


def lengths_of(segmenter: Segmenter) -> Callable[[Example], int]:
    """Return what tells the tokens of a demonstration, each looked at once."""
    return cache(lambda example: tokenize(segmenter, example).alone)
