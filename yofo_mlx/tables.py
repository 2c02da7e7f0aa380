"""The tables of a model that token ids and positions index, and what would go beyond them.

MLX does not look at an index: one beyond a table reads, and in the backward pass writes, memory
that belongs to something else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.utils import _get_classes

from yofo_mlx.errors import RecipeError
from yofo_mlx.markers import find_markers
from yofo_mlx.recipe.schema import Recipe, Template
from yofo_mlx.segments import Segmenter

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


def check_tables(recipe: Recipe, tokenizer: Any, config: dict[str, Any]) -> None:
    """Refuse a recipe whose tokens or episodes go beyond its model's tables."""
    check_ids(recipe.template, tokenizer, config)
    tables = model_tables(config)
    rows = tables and tables.positions
    for name, tokens in (
        ("episodes.max_tokens", recipe.episodes.max_tokens),
        ("evaluation.max_tokens", recipe.evaluation.max_tokens),
    ):
        if rows and tokens and tokens > rows:
            raise RecipeError(
                f"{name} is {tokens}, but the model knows {rows} positions only",
                f"set {name} = {rows}",
            )


def check_ids(template: Template, tokenizer: Any, config: dict[str, Any]) -> None:
    """Refuse a tokenizer whose ids, from data or template, go beyond its model's table."""
    tables = model_tables(config)
    if tables is None:
        return
    controls = frozenset(find_markers(tokenizer).values())
    words = (index for index in tokenizer.get_vocab().values() if index not in controls)
    largest = max(*words, *Segmenter(tokenizer, template).fixed_ids)
    if largest >= tables.vocabulary:
        raise RecipeError(
            f"the tokenizer gives token ids up to {largest}, but the model's table has"
            f" {tables.vocabulary} rows (ids up to {tables.vocabulary - 1})",
            "tokenizer and weights do not belong together: take both from one model",
        )
