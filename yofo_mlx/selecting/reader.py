"""The losses of answers behind demonstrations, read by one model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.sampler import Episode, tokenize
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.models.adapters import mount
from yofo_mlx.models.base import Base
from yofo_mlx.planning.planner import Planner
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.fingerprint import adapter_fingerprint, model_fingerprint
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.recipe.schema import Template
from yofo_mlx.rehearsal.asker import side_by_side
from yofo_mlx.rehearsal.store import key_of
from yofo_mlx.tasks.task import Example

Losses = npt.NDArray[np.float32]


class Reader:
    """A model that reads rows as a recipe's template writes them."""

    def __init__(
        self, base: Base, template: Template, planner: Planner | None, longest: int
    ) -> None:
        """`longest`: most tokens of demonstrations, question and answer together."""
        self._base, self._template, self._planner = base, template, planner
        self.longest = longest
        self._mark = [model_fingerprint(base.path), template.model_dump_json()]

    def segmenter(self, instruction: str) -> Segmenter:
        """Return what makes tokens of text behind an instruction."""
        return Segmenter(self._base.tokenizer, self._template, instruction)

    def key(self, *parts: object) -> str:
        """Return what a score is kept by: it depends on the model, the template and these."""
        return key_of(self._mark, *parts)

    @contextmanager
    def adapted(self, adapter: Path) -> Iterator[str]:
        """Let an adapter read; yield a mark of its weights."""
        mounted = mount(self._base.model, adapter)
        try:
            yield adapter_fingerprint(adapter)
        finally:
            mounted.take_off()

    def read(
        self, segmenter: Segmenter, shown: Sequence[Example], rows: Sequence[Example]
    ) -> list[Losses | None]:
        """Return -log p (nats) of each answer's tokens (N,); None where a row is too long."""
        episode = Episode("", list(segmenter.opening))
        fits = all(episode.add(tokenize(segmenter, one), self.longest) for one in shown)
        asked = [
            (segmenter.question(one.input, first=not shown), segmenter.answer(one.output))
            for one in rows
        ]
        lengths = [len(question) + len(answer) for question, answer in asked]
        room = self.longest - len(episode.tokens) if fits else 0
        readable = [length <= room for length in lengths]
        if not any(readable):
            return [None] * len(rows)
        some, most = [*compress(asked, readable)], max(compress(lengths, readable))
        at_once = side_by_side(self._planner, len(episode.tokens), len(some), most)
        context = Context(self._base.model)
        context.read(episode.tokens)
        readings = iter(read_answers(context, some, at_once=at_once))
        return [next(readings).losses if is_read else None for is_read in readable]
