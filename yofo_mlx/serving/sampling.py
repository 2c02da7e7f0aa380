"""The next token of one answer: the likeliest, or drawn with a seed of its own.

Each token is drawn by its place in the answer, so that an answer does not depend on which others
are written beside it, nor on how often it was interrupted.
"""

from dataclasses import dataclass

import mlx.core as mx
from mlx_lm.sample_utils import apply_top_p

_STEP = 0x9E3779B97F4A7C15  # odd: seeds that follow each other give draws that do not


@dataclass(frozen=True)
class Sampling:
    """How the tokens of an answer are chosen."""

    temperature: float
    top_p: float
    seed: int

    def choose(self, logprobs: mx.array, place: int) -> mx.array:
        """Return the token (1,) at a place of the answer by the log-probabilities (1, V) there."""
        if not self.temperature:
            return mx.argmax(logprobs, axis=-1)
        key = mx.random.key((self.seed + place * _STEP) % 2**64)
        if self.top_p < 1:
            logprobs = apply_top_p(logprobs, self.top_p)
        return mx.random.categorical(logprobs / self.temperature, key=key)
