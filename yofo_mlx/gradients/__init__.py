"""Exact gradients of long episodes: the door between the training loop and a model.

`loss_and_gradients(model, batch, dials)` is equal to `nn.value_and_grad(model, summed)(model)` of

    def summed(model):                                           # B episodes of L tokens, N targets
        logits = model(tokens).reshape(B * L, V)[rows]           # (N, V): the rows before a target
        nll = mx.logsumexp(logits, axis=-1) - logits[mx.arange(N), targets]
        return (weights * nll).sum()

whatever the dials: nothing is truncated, sampled or approximated, only the order of sums differs.
In float32 that is 1e-4 of each parameter's gradient at most and 1e-5 of the loss, mostly 1e-6, by
the tests, on every architecture that is not refused; in half precision, which rounds as much
itself, the difference is told, and the architecture has to agree in float32 (`exactness.py`).
Dropout draws other masks in chunks than on the whole, each a function of the seed.

What `weights` are, so that the sum over a step's batches is the loss: `training/loop.py`.
"""

from typing import Any

import mlx.core as mx

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.gradients.chunked import Progress, chunked_loss_and_gradients
from yofo_mlx.gradients.dials import Dials
from yofo_mlx.gradients.plain import plain_loss_and_gradients


def loss_and_gradients(
    model: Any, batch: Batch, dials: Dials | None = None, progress: Progress = lambda *_: None
) -> tuple[mx.array, dict[str, Any]]:
    """Return `summed` of a batch and its gradients by adapter parameter, both undivided.

    Without dials by plain automatic differentiation, otherwise in chunks: slower on short episodes,
    in bounded memory on long ones, and the same numbers. `progress` is called between pieces.
    """
    if dials is None:
        return plain_loss_and_gradients(model, batch)
    return chunked_loss_and_gradients(model, batch, dials, progress)


__all__ = [
    "Dials",
    "Progress",
    "attention",
    "chunked",
    "dials",
    "exactness",
    "loss_and_gradients",
    "objective",
    "tiles",
]
