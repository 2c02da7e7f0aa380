"""Loss and gradients of a batch of episodes: the door between training loop and model."""

from typing import Any

import mlx.core as mx

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.gradients.chunked import Progress, chunked_loss_and_gradients
from yofo_mlx.gradients.dials import Dials
from yofo_mlx.gradients.plain import plain_loss_and_gradients


def loss_and_gradients(
    model: Any, batch: Batch, dials: Dials | None = None, progress: Progress = lambda *_: None
) -> tuple[mx.array, dict[str, Any]]:
    """Return the summed loss of a batch and its gradients by adapter parameter, both undivided.

    Without dials by plain automatic differentiation, otherwise in chunks: slower on short episodes,
    in bounded memory on long ones, and the same numbers.
    """
    if dials is None:
        return plain_loss_and_gradients(model, batch)
    return chunked_loss_and_gradients(model, batch, dials, progress)


__all__ = ["Dials", "Progress", "loss_and_gradients"]
