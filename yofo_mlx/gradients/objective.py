"""The loss over answer positions.

With answer token sets T_1..T_n of an episode (ManyICFT, arXiv 2506.11103, mask-all-targets):

    normalize = "answer":  1/n  sum_i  1/|T_i|  sum_{t in T_i} -log p(t | everything before it)
    normalize = "token":   sum_i sum_{t in T_i} -log p(t | ...)  /  sum_i |T_i|

`targets` picks the sets: "all" of them, the "last" one, or all "tokens" but the first as one set.
A batch carries all that as the weight of each target, 1/|T_i| or 1 (`episodes/batches.py`), and the
denominator. What is computed here is the sum above the line; the loop divides once for all batches
of a step. `training/loop.py` has the same as a program, which the tests run. What other objectives
make of the losses: `objectives/`, a file each.
"""

from typing import Any

import mlx.core as mx

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.models.logits import row_logits
from yofo_mlx.objectives.smoothing import smoothed
from yofo_mlx.objectives.sums import summed


def token_losses(
    logits: mx.array, targets: mx.array, smoothing: mx.array | None = None
) -> mx.array:
    """Return -log p of each target in nats, (N, V), (N,) -> (N,).

    Of the share `smoothing` (N,) of a target, the mean over all tokens (`objectives/smoothing.py`).
    """
    losses: Any = _token_losses(logits, targets)
    if smoothing is not None:
        losses = smoothed(losses, logits, targets, smoothing)
    return losses  # type: ignore[no-any-return]


@mx.custom_function
def _token_losses(logits: mx.array, targets: mx.array) -> mx.array:
    # Not log_softmax: that would be a second (N, V), and V is the largest axis there is.
    picked = mx.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return mx.logsumexp(logits, axis=-1) - picked


@_token_losses.vjp
def _token_losses_vjp(
    primals: tuple[mx.array, mx.array], cotangent: mx.array, output: mx.array
) -> tuple[mx.array, mx.array]:
    """Return (softmax - one-hot) * cotangent, in one array where autograd would hold three."""
    logits, targets = primals
    gradient = mx.softmax(logits, axis=-1) * cotangent[:, None]
    gradient = gradient.at[mx.arange(targets.size), targets].subtract(cotangent)
    return gradient, mx.zeros_like(targets)


def summed_loss(model: Any, batch: Batch) -> mx.array:
    """Return the sum of the batch's token losses by its objective, not yet divided."""
    logits = row_logits(model, mx.array(batch.tokens), mx.array(batch.rows))
    smoothing = None if batch.smoothing is None else mx.array(batch.smoothing)
    return summed(token_losses(logits, mx.array(batch.targets), smoothing), batch)
