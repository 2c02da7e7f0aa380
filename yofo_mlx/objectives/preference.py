"""Rows with an answer that is not to be given: ASFT (arXiv 2409.10571), in a form of our own.

With the mean loss l of an answer, p = exp(-l) and log-odds o = log(p / (1 - p)), a preferred and
a rejected answer add -log sigmoid(o) - log sigmoid(-o'), which is l - log(1 - p'): each by its own
likelihood, no reference model, no difference of the two. The first is in the loss already.
"""

import mlx.core as mx

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.objectives.answers import contrasts, means, unlikely


def term(losses: mx.array, batch: Batch) -> mx.array:
    """Return what the rejected answers of a batch add to its sum."""
    found, total = means(losses, batch), mx.array(0.0)
    for one in contrasts(batch):
        if one.rejected:
            total = total + one.mass * unlikely(found[mx.array(one.rejected)]).sum()
    return batch.objective.rejected * total
