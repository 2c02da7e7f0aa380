"""What attention does to each score of a tile: left to MLX, or done at once by NumPy.

On a CPU NumPy takes exponents, maxima and sums of a tile in a third of the time, in place; which
needs the tile evaluated as soon as it is there, and no function that is being differentiated.
"""

import mlx.core as mx
import numpy as np

from yofo_mlx.system.powers import NEGLIGIBLE, power_of_two


class Lazily:
    """By MLX, as a part of one graph."""

    def largest(self, scores: mx.array) -> mx.array:
        """Return the largest score of each row, (..., N, 1)."""
        return scores.max(axis=-1, keepdims=True)

    def power(self, scores: mx.array, level: mx.array) -> mx.array:
        """Return 2 ** (scores - level); the scores may be gone."""
        return mx.power(2.0, mx.maximum(scores - level, NEGLIGIBLE))

    def total(self, shares: mx.array) -> mx.array:
        """Return the sum of each row, (..., N, 1)."""
        return shares.sum(axis=-1, keepdims=True)

    def still(self, array: mx.array) -> mx.array:
        """Return an array that stays as it is when the scores are gone."""
        return array

    def done(self, *arrays: mx.array) -> list[mx.array]:
        """Let none of these be used before all are there, so that what they share is freed."""
        together: list[mx.array] = mx.depends(list(arrays), list(arrays))
        return together


class AtOnce(Lazily):
    """By NumPy."""

    def largest(self, scores: mx.array) -> mx.array:  # noqa: D102
        mx.eval(scores)
        return mx.array(np.asarray(scores).max(axis=-1, keepdims=True))

    def power(self, scores: mx.array, level: mx.array) -> mx.array:  # noqa: D102
        return power_of_two(scores, level)

    def total(self, shares: mx.array) -> mx.array:  # noqa: D102
        mx.eval(shares)
        return mx.array(np.asarray(shares).sum(axis=-1, keepdims=True))

    def still(self, array: mx.array) -> mx.array:  # noqa: D102
        mx.eval(array)
        return array

    def done(self, *arrays: mx.array) -> list[mx.array]:  # noqa: D102
        mx.eval(arrays)
        return list(arrays)
