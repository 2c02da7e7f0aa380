"""Targets of which the base is unsure, softened: UAL (arXiv 2406.04854).

A target's loss is that of a distribution with 1 - e on the token and e spread over all V tokens,

    (1 - e) (-log p(token))  +  e / V  sum_v -log p(v)

with e = smoothing * doubt of its row; a row's doubt is what a column of the data says, from 0 to 1.
"""

import mlx.core as mx


def smoothed(losses: mx.array, logits: mx.array, targets: mx.array, share: mx.array) -> mx.array:
    """Return losses of softened targets from plain ones, (N,), (N, V), (N,), (N,) -> (N,)."""
    picked = mx.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return losses + share * (picked - logits.mean(axis=-1))
