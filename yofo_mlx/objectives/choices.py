"""The right label against wrong ones, as T-Few has it (arXiv 2205.05638).

For the last row of an episode and wrong labels drawn for it:

    unlikelihood:  mean over all their tokens of -log(1 - p(token | what is before it))
    choice:        -log softmax over the right label and them of each one's mean log p
"""

import mlx.core as mx
import numpy as np

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.objectives.answers import contrasts, means, unlikely


def term(losses: mx.array, batch: Batch) -> mx.array:
    """Return what the wrong labels of a batch add to its sum."""
    objective, found, total = batch.objective, means(losses, batch), mx.array(0.0)
    for one in contrasts(batch):
        if not one.wrong:
            continue
        tokens = mx.array(np.flatnonzero(np.isin(batch.answers, one.wrong)))
        scores = -found[mx.array([one.right, *one.wrong])]
        unlikelihood = unlikely(losses[tokens]).mean()
        choice = mx.logsumexp(scores) - scores[0]
        total = total + one.mass * (
            objective.unlikelihood * unlikelihood + objective.choice * choice
        )
    return total
