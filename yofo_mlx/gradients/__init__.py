"""Exact gradients of long episodes: the door between the training loop and a model.

`loss_and_gradients(model, batch, dials)` is equal to `nn.value_and_grad(model, summed)(model)` of

    def summed(model):                                           # B episodes of L tokens, N targets
        logits = model(tokens).reshape(B * L, V)[rows]           # (N, V): the rows before a target
        nll = mx.logsumexp(logits, axis=-1) - logits[mx.arange(N), targets]
        return (weights * nll).sum()

whatever the dials, and where episodes are packed in one row, to the sum of that over them: nothing
is truncated, sampled or approximated, only the order of sums differs. In float32 that is 1e-4 of
each parameter's gradient at most and 1e-5 of the loss, mostly 1e-6, by the tests, on every
architecture that is not refused; in half precision, which rounds as much itself, the difference is
told, and the architecture has to agree in float32 (`exactness.py`).
Dropout draws other masks in chunks than on the whole, each a function of the seed.

What `weights` are, so that the sum over a step's batches is the loss: `training/loop.py`.
"""

from typing import Any

import mlx.core as mx
from mlx.utils import tree_map

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.episodes.packing import unpacked
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
    if batch.is_packed:
        return _in_parts(model, batch, dials, progress)
    return chunked_loss_and_gradients(model, batch, dials, progress)


def _in_parts(
    model: Any, row: Batch, dials: Dials, progress: Progress
) -> tuple[mx.array, dict[str, Any]]:
    """Differentiate a packed row that does not fit at once: as many episodes as make a chunk."""
    total, gradients = mx.array(0.0), None
    parts = list(unpacked(row, dials.chunk))
    for place, part in enumerate(parts):

        def told(done: int, pieces: int, phase: str, place: int = place) -> None:
            progress(done + place * pieces, pieces * len(parts), phase)

        more, added = chunked_loss_and_gradients(model, part, dials, told)
        total = total + more
        gradients = added if gradients is None else tree_map(mx.add, gradients, added)
        mx.eval(total, gradients)
        del added  # or it would stay while the next part is taken
    assert gradients is not None  # a batch has a target
    return total, gradients


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
