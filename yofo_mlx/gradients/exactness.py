"""Does training in chunks give this model, on this machine, the gradients of plain autograd?"""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_map

from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import RunError
from yofo_mlx.gradients.chunked import chunked_loss_and_gradients
from yofo_mlx.gradients.dials import Dials
from yofo_mlx.gradients.objective import summed_loss
from yofo_mlx.gradients.small_model import small_model
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.recipe.schema import Lora, Objective

# Chosen: several chunks with a rest, groups of layers, and short, for it is run on the whole model.
# The small one has room for more than its windows (`small_model.WINDOW`) and a tile of queries.
TOKENS, CHUNK, STASH = 48, 13, 2
SMALL_TOKENS, SMALL_CHUNK = 160, 48
SMALL_IDS = 32  # every vocabulary has these
# In float32 the tests find 1e-6 on most architectures, so a missing term shows. The rounding of
# bfloat16 alone sets the two ways 1e-2 apart (docs/long-context.md).
FLOAT32_TOLERANCE, HALF_TOLERANCE = 1e-4, 0.05


@dataclass(frozen=True)
class Exactness:
    """Relative differences between the two ways, gradients by their norm over all parameters."""

    loss: float
    gradients: float
    tolerance: float

    @property
    def is_exact(self) -> bool:
        """Tell whether both are below the tolerance; NaN is not."""
        return self.loss < self.tolerance and self.gradients < self.tolerance


def measure_exactness(
    model: Any, tokens: int = TOKENS, chunk: int = CHUNK, stash: int = STASH
) -> Exactness:
    """Differentiate a short random episode both ways; the model needs an adapter.

    Dropout is off: the two ways would draw different masks.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    batch = _episode(tokens)
    before = model.trainable_parameters()
    model.update(_nudged(before))  # a fresh adapter's zeros would hide half of the gradients
    plain = nn.value_and_grad(model, summed_loss)(model, batch)  # with MLX's own attention
    chunked = chunked_loss_and_gradients(model, batch, Dials(chunk, stash))
    model.update(before)
    expected, found = (dict(tree_flatten(gradients)) for _, gradients in (plain, chunked))
    difference = _norm([found[name] - expected[name] for name in expected if name in found])
    missing = [array for name, array in expected.items() if name not in found]
    norm = _norm(expected.values())
    weights = dict(tree_flatten(model.parameters())).values()
    half = any(array.dtype in (mx.float16, mx.bfloat16) for array in weights)
    model.train()
    return Exactness(
        loss=abs(chunked[0].item() - plain[0].item()) / (abs(plain[0].item()) or 1.0),
        gradients=(difference + _norm(missing)) / (norm or 1.0),
        tolerance=HALF_TOLERANCE if half else FLOAT32_TOLERANCE,
    )


def _episode(tokens: int) -> Batch:
    draw = np.random.default_rng(0).integers(0, SMALL_IDS, tokens).tolist()
    answers = [(end - 2, end) for end in range(8, tokens + 1, 8)]
    return make_batch([Episode("self-test", draw, answers)], Objective())


def check_exactness(model: Any, config: dict[str, Any], lora: Lora) -> str:
    """Return a warning, mostly empty, on how chunks and plain autograd differ for a loaded model.

    Rounding alone can set half precision apart. There the same architecture has to be exact in
    float32, as a small model. Raises RunError if it is not.
    """
    found = measure_exactness(model)
    if found.is_exact:
        return ""
    words = (
        f"{model.model_type}: in chunks its gradients differ from plain autograd's"
        f" by {found.gradients:.1e} of their norm"
    )
    if found.tolerance == HALF_TOLERANCE and small_comparison(config, lora).is_exact:
        return f"{words}; in float32 they agree, so this is the rounding of half precision"
    raise RunError(words, 'shorten the episodes and set memory.method = "plain"')


def small_comparison(config: dict[str, Any], lora: Lora, dtype: mx.Dtype = mx.float32) -> Exactness:
    """Compare on a small random model of a configuration's architecture."""
    model = small_model(config)
    model.set_dtype(dtype)
    add_adapter(model, lora.model_copy(update={"rank": 2, "num_layers": -1}))
    return measure_exactness(model, SMALL_TOKENS, SMALL_CHUNK, STASH)


def _nudged(parameters: Any) -> Any:
    key = mx.random.key(0)
    return tree_map(lambda a: a + 1e-3 * mx.random.normal(a.shape, a.dtype, key=key), parameters)


def _norm(arrays: Any) -> float:
    return float(np.sqrt(sum(float(mx.square(array.astype(mx.float32)).sum()) for array in arrays)))
