"""Keys and values of demonstrations, refined by gradient: Context Tuning (arXiv 2507.04221).

What the context holds of demonstrations (x_i, y_i) becomes what is trained, and the model stays:

    mean over i of  mean over tokens of  -log p(y_i | x_i, keys and values but those of x_i and y_i)

Without its own a demonstration cannot be copied: the others have to explain it. A share of those is
left out as well, drawn anew each time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx_lm.models.cache import KVCache

from yofo_mlx.errors import FitError, RunError
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.models.logits import row_logits
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.system.quantities import size

Held = Sequence[Sequence[mx.array]]  # keys and values (1, H, T, D) of each layer
Span = tuple[int, int]
DROPOUT = 0.1  # the share of what is held that a row does not see


class _Layer:
    """Stands for a layer's cache: what is held, and behind it what a query brings."""

    def __init__(self, held: Sequence[mx.array], mask: mx.array) -> None:
        self.held, self.mask = held, mask
        self.offset = held[0].shape[2]

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Return keys and values of both."""
        rows = keys.shape[0]
        pairs = zip(self.held, (keys, values), strict=True)
        whole = [
            mx.concatenate([mx.broadcast_to(old, (rows, *old.shape[1:])).astype(new.dtype), new], 2)
            for old, new in pairs
        ]
        return whole[0], whole[1]

    def make_mask(self, *_: Any, **__: Any) -> mx.array:
        """Return what each token of each row sees: (B, 1, L, T + L)."""
        return self.mask


def spans(prefix: Prefix) -> list[Span]:
    """Return where each demonstration lies in a prefix, its question included."""
    ends = [end for _, end in prefix.answers]
    starts = [len(prefix.segmenter.opening), *ends[:-1]]
    return list(zip(starts, ends, strict=True))


def held_of(prefix: Prefix) -> Held:
    """Return what a filled prefix holds; RunError for caches that do not only grow."""
    layers = prefix.context.layers
    if not prefix.tokens or any(type(layer) is not KVCache for layer in layers):
        raise RunError(
            "this model's cache of the demonstrations cannot be refined",
            "only plain keys and values can: no windows, no recurrent state",
        )
    length = len(prefix.tokens)
    return [(layer.keys[..., :length, :], layer.values[..., :length, :]) for layer in layers]


def left_out_loss(
    model: Any, held: Held, prefix: Prefix, chosen: Sequence[int], hidden: np.ndarray
) -> mx.array:
    """Return the loss of some demonstrations, each behind what is held of the others.

    `hidden` (B, T): what else a row does not see.
    """
    length = held[0][0].shape[2]
    asked = [
        (prefix.segmenter.question(one.input), prefix.segmenter.answer(one.output))
        for one in (prefix.demonstrations[at] for at in chosen)
    ]
    width = max(len(question) + len(answer) for question, answer in asked)
    tokens = np.zeros((len(asked), width), np.int32)
    sees = np.broadcast_to(~hidden[:, None, :], (len(asked), width, length)).copy()
    places, targets, weights = [], [], []
    own = spans(prefix)
    for row, (question, answer) in enumerate(asked):
        start, end = len(question), len(question) + len(answer)
        tokens[row, :end] = [*question, *answer]
        sees[row, :, slice(*own[chosen[row]])] = False
        places += [row * width + at for at in range(start - 1, end - 1)]
        targets += answer
        weights += [1 / len(answer)] * len(answer)
    causal = np.broadcast_to(np.tri(width, dtype=bool), (len(asked), width, width))
    mask = mx.array(np.concatenate([sees, causal], axis=2)[:, None])
    layers = [_Layer(pair, mask) for pair in held]
    logits = row_logits(model, mx.array(tokens), mx.array(places), layers)
    losses = token_losses(logits, mx.array(targets)) * mx.array(weights, mx.float32)
    return losses.sum() / len(asked)


def check_memory(prefix: Prefix, batch: int) -> None:
    """Refuse what would not fit: float32 copies, gradients, moments, and a batch of rows."""
    numbers = sum(one.size for pair in held_of(prefix) for one in pair)
    needed, limit = 4 * numbers * (4 + 2 * batch), prefix.context.memory_limit
    if limit is not None and needed > limit - mx.get_active_memory():
        raise FitError(
            f"refining {len(prefix.tokens):,} tokens, {batch} rows at once, takes {size(needed)}",
            "use fewer --shots or a smaller --batch",
        )


def refine(
    prefix: Prefix,
    *,
    steps: int,
    learning_rate: float,
    batch: int = 8,
    seed: int = 0,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Refine what a filled prefix holds with Adam; `on_step` hears the loss before each step."""
    model, held = prefix.context.model, held_of(prefix)
    state: dict[str, Any] = {"held": [[a.astype(mx.float32) for a in pair] for pair in held]}
    optimizer = optim.Adam(learning_rate)
    optimizer.init(state)
    draw = np.random.default_rng(seed)
    batch = min(batch, len(prefix.demonstrations))
    order: list[int] = []
    for step in range(1, steps + 1):
        while len(order) < batch:
            order += draw.permutation(len(prefix.demonstrations)).tolist()
        chosen, order = order[:batch], order[batch:]
        hidden = draw.random((batch, len(prefix.tokens))) < DROPOUT
        value, state = _stepped(optimizer, state, (model, prefix, chosen, hidden))
        on_step(step, value)
    layers = [
        KVCache.from_state(
            (keys.astype(was[0].dtype), values.astype(was[1].dtype), was[0].shape[2])
        )
        for (keys, values), was in zip(state["held"], held, strict=True)
    ]
    prefix.context.adopt(layers, prefix.tokens)


def _stepped(optimizer: Any, state: dict[str, Any], of: tuple[Any, ...]) -> tuple[float, Any]:
    model, prefix, chosen, hidden = of

    def loss(state: dict[str, Any]) -> mx.array:
        return left_out_loss(model, state["held"], prefix, chosen, hidden)

    value, gradients = mx.value_and_grad(loss)(state)
    state = optimizer.apply_gradients(gradients, state)
    mx.eval(state, optimizer.state, value)
    return float(np.array(value)), state
