"""Powers of two of many numbers at once, in place of them."""

import math

import mlx.core as mx
import numpy as np

LN_2 = np.float32(math.log(2))
NEGLIGIBLE = -60.0  # 2 ** -60 is below float32's resolution; smaller results are slow to compute


def power_of_two(scores: mx.array, level: mx.array | float = 0.0) -> mx.array:
    """Return 2 ** max(scores - level, NEGLIGIBLE), evaluated, in place of the scores.

    On a CPU by NumPy: 2 to 3 ns a number, MLX takes 9. NumPy's `exp` uses wide registers wherever
    it runs, its `exp2` on few machines only.

    `scores` must be float32 that nobody else uses, not even the level: their maximum over a single
    column is, for MLX, the scores themselves. And no function is being differentiated: what is
    evaluated then stays in memory until its gradient is there.
    """
    if mx.default_device() != mx.cpu:
        return mx.power(2.0, mx.maximum(scores - level, NEGLIGIBLE))
    mx.eval(scores, level)
    numbers, lower = np.asarray(scores), np.asarray(level)
    assert not np.may_share_memory(numbers, lower)
    np.subtract(numbers, lower, out=numbers)
    np.maximum(numbers, NEGLIGIBLE, out=numbers)
    np.multiply(numbers, LN_2, out=numbers)
    np.exp(numbers, out=numbers)
    return scores
