"""Does training in chunks give this model, on this machine, the gradients of plain autograd?"""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from yofo_mlx.batches import Batch, make_batch
from yofo_mlx.episodes import Episode
from yofo_mlx.longcontext.chunked import chunked_loss_and_gradients
from yofo_mlx.longcontext.dials import Dials
from yofo_mlx.objective import summed_loss
from yofo_mlx.recipe import Objective

TOKENS, CHUNK, STASH = 48, 13, 2
SMALL_IDS = 32  # every vocabulary has these
FLOAT32_TOLERANCE, HALF_TOLERANCE = 1e-4, 0.05


@dataclass(frozen=True)
class Comparison:
    """Relative differences between the two ways, gradients by their norm over all parameters."""

    loss: float
    gradients: float
    tolerance: float

    @property
    def is_exact(self) -> bool:
        """Tell whether both are below the tolerance; NaN is not."""
        return self.loss < self.tolerance and self.gradients < self.tolerance


def compare(model: Any, tokens: int = TOKENS, chunk: int = CHUNK, stash: int = STASH) -> Comparison:
    """Differentiate a short random episode both ways; the model needs an adapter.

    Dropout is off: the two ways would draw different masks.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    batch = _episode(tokens)
    plain = nn.value_and_grad(model, summed_loss)(model, batch)  # with MLX's own attention
    chunked = chunked_loss_and_gradients(model, batch, Dials(chunk, stash))
    expected, found = (dict(tree_flatten(gradients)) for _, gradients in (plain, chunked))
    difference = _norm([found[name] - expected[name] for name in expected if name in found])
    missing = [array for name, array in expected.items() if name not in found]
    norm = _norm(expected.values())
    weights = dict(tree_flatten(model.parameters())).values()
    half = any(array.dtype in (mx.float16, mx.bfloat16) for array in weights)
    model.train()
    return Comparison(
        loss=abs(chunked[0].item() / plain[0].item() - 1),
        gradients=(difference + _norm(missing)) / norm if norm else float("nan"),
        tolerance=HALF_TOLERANCE if half else FLOAT32_TOLERANCE,
    )


def _episode(tokens: int) -> Batch:
    draw = np.random.default_rng(0).integers(0, SMALL_IDS, tokens).tolist()
    answers = [(end - 2, end) for end in range(8, tokens + 1, 8)]
    return make_batch([Episode("self-test", draw, answers)], Objective())


def _norm(arrays: Any) -> float:
    return float(np.sqrt(sum(float(mx.square(array.astype(mx.float32)).sum()) for array in arrays)))
