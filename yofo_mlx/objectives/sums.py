"""The number that a batch adds to an update's loss, from the losses of its targets.

A new objective is a file beside this one and a line here. It is any function of the (N,) losses:
its gradient by them is all that `gradients/` needs, in chunks as well.
"""

import mlx.core as mx

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.objectives import choices, preference, reweighting


def is_linear(batch: Batch) -> bool:
    """Tell whether the sum is of the losses times what is known before them."""
    asked = batch.objective
    return not (asked.reweight or asked.rejected or asked.contrasts)


def summed(losses: mx.array, batch: Batch) -> mx.array:
    """Return the sum over a batch, not yet divided, (N,) -> ()."""
    weights = mx.array(batch.weights)
    if (factors := reweighting.weights(losses, batch)) is not None:
        weights = weights * factors
    total = (losses * weights).sum()
    if batch.objective.rejected:
        total = total + preference.term(losses, batch)
    if batch.objective.contrasts:
        total = total + choices.term(losses, batch)
    return total


def slopes(losses: mx.array, batch: Batch) -> tuple[mx.array, mx.array]:
    """Return the sum over a batch and its derivatives by each loss, (N,) -> (), (N,)."""
    total, found = mx.value_and_grad(summed)(losses, batch)
    mx.eval(total, found)
    return total, found
