"""Which label the other demonstrations point to, from what the context holds already.

The values that the last layers keep of the token before an answer were computed without that
answer: they say what the model makes of its input. A ridge classifier of labels is fitted on them,
and each demonstration is asked of it as if it had been left out, which has a closed form (PRESS,
Allen 1974). Nothing is read again.
"""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx_lm.models.cache import KVCache

from yofo_mlx.prompting.context import Context

LAYERS = 1 / 3  # the share of layers that is looked at, the last ones
RIDGE = 0.03  # where the kernel's diagonal is 1
_AT_ONCE = 1000  # demonstrations that are compared with one another: the work is their cube

Floats = npt.NDArray[np.float32]


def scores(context: Context, places: Sequence[int], labels: npt.NDArray[np.intp]) -> Floats | None:
    """Return the (N, C) share of each label at each demonstration, the others being known.

    `places` (N,) are those of the tokens before the answers, `labels` (N,) count from 0. Shares sum
    to about 1. None where the last layers are no plain K/V caches.
    """
    features = _features(context, places)
    if features is None:
        return None
    labelled = np.eye(labels.max() + 1, dtype=np.float32)[labels]  # (N, C)
    blocks = max(1, -(-len(places) // _AT_ONCE))
    pieces = np.array_split(np.arange(len(places)), blocks)
    return np.concatenate([press(features[piece], labelled[piece]) for piece in pieces])


def _features(context: Context, places: Sequence[int]) -> Floats | None:
    """Return values (N, F) of the last layers; each layer counts the same."""
    count = len(context.layers)
    last = context.layers[count - max(1, round(LAYERS * count)) :]
    plain = [layer for layer in last if type(layer) is KVCache]
    if not plain or not places:
        return None
    rows = mx.array(list(places))
    held: list[Any] = [layer.values for layer in plain]
    picked = [values[0][:, rows].astype(mx.float32) for values in held]  # (H, N, D)
    mx.eval(picked)  # all at once: what is computed takes less than to be waited for
    pieces = []
    for values in picked:
        piece = np.array(values).transpose(1, 0, 2).reshape(len(places), -1)
        piece -= piece.mean(axis=0)
        pieces.append(piece / (np.linalg.norm(piece, axis=1, keepdims=True) + 1e-9))
    features: Floats = np.concatenate(pieces, axis=1)
    return features / np.float32(np.sqrt(len(pieces)))


def press(features: Floats, labelled: Floats, ridge: float = RIDGE) -> Floats:
    """Return what a ridge regression of `labelled` (N, C) on features (N, F) says of each row.

    Each is left out of the fit that it is asked of: (H Y - diag(H) Y) / (1 - diag(H)).
    """
    kernel = features @ features.T  # (N, N)
    hat = np.linalg.solve(kernel + ridge * np.eye(len(kernel), dtype=np.float32), kernel).T
    own = np.diag(hat)[:, None]
    found: Floats = (hat @ labelled - own * labelled) / (1 - own)
    return found
