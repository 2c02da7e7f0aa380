"""Which demonstrations of those offered a session shows, and what is told of it."""

from collections.abc import Sequence
from typing import Any

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting import choosing
from yofo_mlx.prompting.blocks import Blocks
from yofo_mlx.prompting.kept import DiskCache
from yofo_mlx.prompting.loading import Source
from yofo_mlx.prompting.parameters import Prefill
from yofo_mlx.prompting.tails import Sight
from yofo_mlx.tasks.task import Example


class ShownDemonstrations:
    """The demonstrations that are shown: the same ones in their places, as others come and go."""

    def __init__(self) -> None:
        self.examples: Sequence[Example] = ()
        self.facts: dict[str, Any] = {}
        self.seed: int | None = None  # with which they were chosen; None: they come from a file
        self._known: frozenset[Example] = frozenset()  # of which they were chosen
        self._places: dict[Example, int] = {}  # of those that are offered

    def choose(
        self,
        wanted: Prefill,
        source: Source,
        segmenter: Segmenter,
        limit: int | None,
        kept: DiskCache | None,
    ) -> Sight:
        """Choose what a model shows that takes so many tokens; return what its queries see.

        With the same seed, what is shown already stays in its place, or what was shown when `kept`
        was written.
        """
        offered, division = wanted.examples(), wanted.division
        seed = source.seed if wanted.seed is None else wanted.seed
        shots = "all" if wanted.choose == "all" else wanted.shots
        bound = choosing.bound_of(shots, source.trained_context, limit)
        shown, known = self._before(wanted, offered, seed, kept)
        sight = Sight(wanted.choose, division, offered, seed, bound.tokens)
        choice = sight.choose(segmenter, shown if self.seed in (None, seed) else (), known)
        self._take(choice.examples, offered, seed)
        self.facts = choosing.facts(choice, offered, division.bulk, bound, seed)
        of_tail = choosing.facts_of_tail(wanted.choose, division, len(offered))
        told = self.facts["told"] if division.has_bulk else []
        texts = [text for one in choice.examples for text in (one.input, one.output)]
        remarks = filter(None, [source.remark(texts)])
        self.facts |= of_tail | {"told": [*told, *of_tail["told"], *remarks]}
        return sight

    def choose_for_blocks(self, wanted: Prefill, source: Source, blocks: Blocks) -> None:
        """Choose what stands in blocks, of which each query sees some."""
        offered = wanted.examples()
        seed = source.seed if wanted.seed is None else wanted.seed
        order = blocks.order(offered, seed)
        self._take(order[: wanted.shots] if isinstance(wanted.shots, int) else order, offered, seed)
        self.facts = choosing.facts_of_blocks(self.examples, offered, seed)

    def take_from_file(self, examples: Sequence[Example]) -> None:
        """Show what a prompt cache holds, as it stands there."""
        self._take(examples, examples, None)
        self.facts = choosing.facts_of_file(examples)

    def places(self, tail: Sequence[Example]) -> list[int]:
        """Return which of those offered a query sees by itself."""
        return [self._places[example] for example in tail]

    def _take(
        self, examples: Sequence[Example], offered: Sequence[Example], seed: int | None
    ) -> None:
        self.examples, self._known, self.seed = examples, frozenset(offered), seed
        self._places = {one: place for place, one in reversed([*enumerate(offered)])}

    def _before(
        self, wanted: Prefill, offered: Sequence[Example], seed: int, kept: DiskCache | None
    ) -> tuple[Sequence[Example], frozenset[Example]]:
        """Return what was shown, and of which it was chosen, here or where this goes on."""
        if self._known:
            return self.examples, self._known
        shown = [offered[place] for place in wanted.shown]
        if kept and not shown:
            return kept.before(offered, seed)
        return shown, frozenset(offered).difference(offered[place] for place in wanted.added)
