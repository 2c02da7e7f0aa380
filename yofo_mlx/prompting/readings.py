"""What a model expected where answers stand, noted while it reads them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from yofo_mlx.models.logits import log_sums

LONGEST = 16  # tokens noted of an answer: each costs a projection onto the vocabulary

Floats = npt.NDArray[np.float32]
Span = tuple[int, int]
"""Where the tokens of an answer begin and end."""


@dataclass(frozen=True)
class Expected:
    """What might have stood at a place: the token that does first, then others that labels have."""

    tokens: tuple[int, ...]
    logprobs: Floats  # (len(tokens),) in nats, everything before the place being given

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing was asked: the labels that begin so all go on with this token."""
        return len(self.tokens) == 1 and not self.logprobs[0]


Readings = dict[int, Expected]
"""By the place of the token among all that were read."""


def noted(answer: Span) -> range:
    """Return the places of an answer's tokens that are noted."""
    start, end = answer
    return range(start, min(end, start + LONGEST))


class Watch:
    """The places to note while tokens are read, and what is asked of each."""

    def __init__(
        self, tokens: Sequence[int], answers: Iterable[Span], labels: Iterable[Sequence[int]] = ()
    ) -> None:
        """`labels` are the tokens of all answers, where these are labels."""
        following: dict[tuple[int, ...], set[int]] = {}
        for label in labels:
            for at, token in enumerate(label[:LONGEST]):
                following.setdefault(tuple(label[:at]), set()).add(token)
        ordered = {before: tuple(sorted(tokens)) for before, tokens in following.items()}
        self._asked: dict[int, tuple[int, ...]] = {}
        self._settled: set[int] = set()
        for answer in answers:
            for place in noted(answer):
                token = tokens[place]
                others = ordered.get(tuple(tokens[answer[0] : place]), ())
                self._asked[place] = (token, *(other for other in others if other != token))
                if others == (token,):
                    self._settled.add(place)

    def places(self, start: int, end: int) -> list[int]:
        """Return the places whose tokens are foretold by those read from `start` to `end`."""
        read = range(start + 1, end + 1)
        return [place for place in read if place in self._asked and place not in self._settled]

    def settled(self, start: int, end: int) -> Readings:
        """Return the same of places where no label goes on otherwise: they tell nothing."""
        read = self._settled.intersection(range(start + 1, end + 1))
        return {place: Expected(self._asked[place], np.zeros(1, np.float32)) for place in read}

    def note(self, places: Sequence[int], logits: mx.array) -> Readings:
        """Return what logits (N, V) say of the places (N,)."""
        asked = [self._asked[place] for place in places]
        width = max(map(len, asked))
        padded = mx.array([[*tokens, *[tokens[0]] * (width - len(tokens))] for tokens in asked])
        picked = mx.take_along_axis(logits, padded, axis=-1)  # (N, W)
        logprobs = np.array(picked) - np.array(log_sums(logits))[:, None]
        return {
            place: Expected(tokens, row[: len(tokens)].copy())
            for place, tokens, row in zip(places, asked, logprobs, strict=True)
        }
