"""The tables of a model that token ids and positions index."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.utils import _get_classes

_TOKENS = [1, 0, 1, 1]  # unlike their positions


@dataclass(frozen=True)
class Tables:
    """How many rows there are."""

    vocabulary: int  # of the embedding or of the output, whichever has fewer
    positions: int | None  # of learned positions; None where any position will do


def model_tables(config: dict[str, Any]) -> Tables | None:
    """Return the tables of a configuration's model, None if mlx-lm cannot make it.

    Its own code tells which table is asked for what. Nothing is computed: no weight is ever made.
    """
    try:
        model_class, arguments = _get_classes(config)
        model = model_class(arguments.from_dict(config))
        with _lookups() as found:
            outputs = model(mx.array([_TOKENS])).shape[-1]
    except Exception:  # mlx-lm says it better when it loads the model
        return None
    positions = [rows for rows, asked in found if asked == list(range(len(_TOKENS)))]
    words = [rows for rows, asked in found if asked == _TOKENS]
    return Tables(min([outputs, *words]), min(positions, default=None))


@contextmanager
def _lookups() -> Iterator[list[tuple[int, list[int]]]]:
    """Note the rows of each embedding that is looked into, and the ids it is asked for."""
    found: list[tuple[int, list[int]]] = []
    kinds: tuple[Any, ...] = (nn.Embedding, nn.QuantizedEmbedding)
    before = [kind.__call__ for kind in kinds]

    def noting(look_up: Callable[[Any, mx.array], mx.array]) -> Callable[[Any, mx.array], mx.array]:
        def noted(table: Any, ids: mx.array) -> mx.array:
            asked: Any = ids.reshape(-1).tolist()
            found.append((table["weight"].shape[0], asked))
            return look_up(table, ids)

        return noted

    try:
        for kind, look_up in zip(kinds, before, strict=True):
            kind.__call__ = noting(look_up)
        yield found
    finally:
        for kind, look_up in zip(kinds, before, strict=True):
            kind.__call__ = look_up
