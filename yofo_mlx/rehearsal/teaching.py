"""What the base expects at each token of an answer: a teacher's distributions, and its doubt.

A teacher is the base that has the expected answer in its context, behind demonstrations; its pupil
is the base without any (SDFT, arXiv 2601.19897). What is taught is the pupil's own answer: at each
of its tokens the teacher's likeliest ones with their shares. Doubt is the mean entropy of the base
at the tokens of an expected answer, without demonstrations (for UAL, arXiv 2406.04854).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.scoring import Asked, read_logits

Expected = list[list[tuple[int, float]]]  # of each token of an answer: tokens with their shares


@dataclass(frozen=True)
class Reading:
    """What the base expected before each token of an answer."""

    tokens: Expected  # the likeliest; their shares sum up to 1
    entropy: float  # nats, mean over the tokens

    def as_json(self) -> list[object]:
        """Return it as it is kept."""
        return [self.tokens, self.entropy]


def read(context: Context, asked: Sequence[Asked], *, most: int, at_once: int) -> Iterator[Reading]:
    """Yield what is expected in each answer, `most` tokens a place; the context stays as it was."""
    for found in read_logits(context, asked, lambda logits: _expected(logits, most), at_once):
        shares = np.exp(found[:, most : 2 * most])
        shares /= shares.sum(axis=1, keepdims=True)
        rows = zip(found[:, :most].astype(int).tolist(), shares.tolist(), strict=True)
        tokens = [
            [(token, round(share, 6)) for token, share in zip(*row, strict=True)] for row in rows
        ]
        yield Reading(tokens, round(float(found[:, -1].mean()), 6))


def _expected(logits: mx.array, most: int) -> mx.array:
    """Return the likeliest tokens, their log p, and the entropy, (N, V) -> (N, 2 most + 1)."""
    log_p = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    places = mx.argpartition(-log_p, most - 1, axis=-1)[:, :most]
    entropy = -(mx.exp(log_p) * log_p).sum(axis=-1, keepdims=True)
    likeliest = mx.take_along_axis(log_p, places, axis=-1)
    return mx.concatenate([places.astype(mx.float32), likeliest, entropy], axis=-1)
