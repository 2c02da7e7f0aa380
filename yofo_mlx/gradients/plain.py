"""Plain automatic differentiation over whole episodes."""

from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.gradients.attention import bounded_attention
from yofo_mlx.gradients.objective import summed_loss
from yofo_mlx.gradients.segments import kept_apart


def plain_loss_and_gradients(model: Any, batch: Batch) -> tuple[mx.array, dict[str, Any]]:
    """Return the summed loss of a batch and its gradients by adapter parameter, both undivided."""
    with bounded_attention(), kept_apart(batch):
        loss, gradients = nn.value_and_grad(model, summed_loss)(model, batch)
    # Arrays only, as in chunks: MLX leaves empty places for lists of words, such as `layer_types`,
    # and an optimizer that met the one tree fails at the other.
    return loss, tree_unflatten(tree_flatten(gradients))
