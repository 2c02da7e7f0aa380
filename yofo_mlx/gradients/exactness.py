"""Does training in chunks give this model, on this machine, the gradients of plain autograd?

And does a packed row give them?
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import RunError, YofoError
from yofo_mlx.gradients.chunked import chunked_loss_and_gradients
from yofo_mlx.gradients.dials import Dials
from yofo_mlx.gradients.objective import summed_loss
from yofo_mlx.gradients.plain import plain_loss_and_gradients
from yofo_mlx.gradients.small_model import small_model
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.recipe.schema import Lora, Objective

# Chosen: several chunks with a rest, groups of layers, and short, for it is run on the whole model.
# The small one has room for more than its windows (`small_model.WINDOW`) and a tile of queries.
TOKENS, CHUNK, STASH = 48, 13, 2
SMALL_TOKENS, SMALL_CHUNK = 160, 48
PACKED = (9, 70, 24, 41)  # tokens of a small model's episodes: shorter and longer than its windows
SHORT_CONTEXT = 80  # of that model: some stretch positions by how far a sequence is beyond it
SMALL_IDS = 32  # every vocabulary has these
# In float32 the tests find 1e-6 on most architectures, so a missing term shows. The rounding of
# bfloat16 alone sets the two ways 1e-2 apart (docs/long-context.md).
FLOAT32_TOLERANCE, HALF_TOLERANCE = 1e-4, 0.05


Result = tuple[mx.array, Any]


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
    batch = make_batch([_episode(tokens)], Objective())
    return _compared(
        model,
        lambda: nn.value_and_grad(model, summed_loss)(model, batch),  # with MLX's own attention
        lambda: chunked_loss_and_gradients(model, batch, Dials(chunk, stash)),
    )


def measure_packing(model: Any) -> Exactness:
    """Differentiate a packed row, and its episodes one by one; the model needs an adapter."""
    episodes = [_episode(tokens) for tokens in PACKED]
    row = make_batch(episodes, Objective(), packed=True)
    batches = [make_batch([episode], Objective()) for episode in episodes]

    def alone() -> Result:
        results = [nn.value_and_grad(model, summed_loss)(model, batch) for batch in batches]
        losses, gradients = zip(*results, strict=True)
        return sum(losses[1:], losses[0]), tree_map(lambda *arrays: sum(arrays), *gradients)

    return _compared(model, alone, lambda: plain_loss_and_gradients(model, row))


def _compared(model: Any, plain: Callable[[], Result], other: Callable[[], Result]) -> Exactness:
    """Compare loss and gradients of two ways, without dropout; the model stays as it was."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    before = model.trainable_parameters()
    model.update(_nudged(before))  # a fresh adapter's zeros would hide half of the gradients
    results = [plain(), other()]
    model.update(before)
    (_, expected), (_, found) = results
    loss, other_loss = (loss.item() for loss, _ in results)
    weights = dict(tree_flatten(model.parameters())).values()
    half = any(array.dtype in (mx.float16, mx.bfloat16) for array in weights)
    model.train()
    return Exactness(
        loss=abs(other_loss - loss) / (abs(loss) or 1.0),
        gradients=_apart(found, expected),
        tolerance=HALF_TOLERANCE if half else FLOAT32_TOLERANCE,
    )


def _apart(found: Any, expected: Any) -> float:
    """Return how far gradients are from what is expected, as a share of that one's norm."""
    there, wanted = dict(tree_flatten(found)), dict(tree_flatten(expected))
    difference = _norm([there[name] - wanted[name] for name in wanted if name in there])
    missing = [array for name, array in wanted.items() if name not in there]
    return (difference + _norm(missing)) / (_norm(wanted.values()) or 1.0)


def _episode(tokens: int) -> Episode:
    draw = np.random.default_rng(0).integers(0, SMALL_IDS, tokens).tolist()
    return Episode("self-test", draw, [(end - 2, end) for end in range(8, tokens + 1, 8)])


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
    """Compare on a small random model of a configuration's architecture.

    In half precision the two ways may be as far apart as two roundings: where norms divide by small
    numbers (Gemma 3 and 4), that is more than usual, and is measured.
    """
    model = _small(config, lora, dtype)
    found = measure_exactness(model, SMALL_TOKENS, SMALL_CHUNK, STASH)
    if found.is_exact or dtype == mx.float32:
        return found
    _, exact = _plain(_small(config, lora, mx.float32))
    _, rounded = _plain(model)
    return replace(found, tolerance=max(found.tolerance, 2 * _apart(rounded, exact)))


def _small(config: dict[str, Any], lora: Lora, dtype: mx.Dtype) -> Any:
    model = small_model(config)
    model.set_dtype(dtype)
    add_adapter(model, lora.model_copy(update={"rank": 2, "num_layers": -1, "dropout": 0.0}))
    model.update(_nudged(model.trainable_parameters()))
    return model


def _plain(model: Any) -> Result:
    batch = make_batch([_episode(SMALL_TOKENS)], Objective())
    result: Result = nn.value_and_grad(model, summed_loss)(model, batch)
    return result


def packing_refusal(config: dict[str, Any], lora: Lora) -> str:
    """Return why episodes cannot share a row in a model of a configuration; empty: they can.

    A small random model of its architecture is tried.
    """
    return _packing_refusal(json.dumps(config, sort_keys=True, default=str), lora.model_dump_json())


@cache
def _packing_refusal(config: str, lora: str) -> str:
    shape = Lora.model_validate_json(lora).model_copy(update={"rank": 2, "num_layers": -1})
    try:
        model = small_model(_with_context(json.loads(config), SHORT_CONTEXT))
        kept = {type(layer) for layer in make_prompt_cache(model)}
        if kept - {KVCache, RotatingKVCache}:
            return "its layers carry a state from token to token"
        add_adapter(model, shape)
        found = measure_packing(model)
    except YofoError as error:
        return error.message
    except Exception as error:  # whatever a model's code makes of calls it was not written for
        return f"its code fails ({str(error)[:200]})"
    if not found.is_exact:
        return f"a small one's gradients differ by {found.gradients:.1e} of their norm"
    return ""


def _with_context(config: dict[str, Any], tokens: int) -> dict[str, Any]:
    """Return a configuration with another trained length."""
    inner = config.get("text_config")
    texts = {"text_config": _with_context(inner, tokens)} if isinstance(inner, dict) else {}
    return config | {"max_position_embeddings": tokens} | texts


def _nudged(parameters: Any) -> Any:
    key = mx.random.key(0)
    return tree_map(lambda a: a + 1e-3 * mx.random.normal(a.shape, a.dtype, key=key), parameters)


def _norm(arrays: Any) -> float:
    return float(np.sqrt(sum(float(mx.square(array.astype(mx.float32)).sum()) for array in arrays)))
