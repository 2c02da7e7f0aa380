"""Answers that weigh by how they are learned: DrICL's cumulative advantage (arXiv 2501.04070).

With the mean losses l_0, l_1, ... of an episode's answers and the largest b_k of the 10 before l_k,

    w_0 = 1,  w_k = exp((l_k - b_k) / reweight)

through which no gradient goes. An answer that is harder than those before it weighs more.
"""

import mlx.core as mx
import numpy as np

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.objectives.answers import means

WINDOW = 10


def weights(losses: mx.array, batch: Batch) -> mx.array | None:
    """Return a factor for each target, (N,); None where all weigh the same."""
    scale = batch.objective.reweight
    if scale is None:
        return None
    rows = batch.rows_of_answers
    places = np.arange(len(rows))
    before = places[:, None] - np.arange(1, WINDOW + 1)  # (A, 10)
    there = (before >= 0) & (rows[before.clip(0)] == rows[:, None])
    found = means(mx.stop_gradient(losses), batch)
    earlier = mx.where(mx.array(there), found[mx.array(before.clip(0))], -mx.inf)
    baseline = mx.where(mx.array(there.any(axis=1)), earlier.max(axis=1), found)
    return mx.exp((found - baseline) / scale)[mx.array(batch.answers)]
