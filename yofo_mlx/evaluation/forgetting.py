"""What a model makes of plain texts that nothing was trained on: how much a tuning forgets."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import DataError
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.models.logits import row_logits

WINDOW = 512  # tokens that are read at once


def text_loss(
    model: Any, tokenizer: Any, texts: Iterable[str], tokens: int, *, window: int = WINDOW
) -> float:
    """Return the loss, in nats per token, on the first so many tokens of texts.

    The token that ends a text comes after each. Windows are read each by itself; the first token of
    one is only read.
    """
    if window < 2 or tokens < 2:
        raise ValueError("two tokens at least: the second one is predicted from the first")
    model.eval()
    read = [*islice(_tokens(tokenizer, texts), tokens)]
    if len(read) < tokens:
        raise DataError(
            f"the texts have {len(read):,} tokens, and {tokens:,} are to be read",
            "give more texts, or ask for fewer tokens",
        )
    total, targets = 0.0, 0
    for start in range(0, tokens - 1, window):
        piece = mx.array(read[start : start + window])
        if piece.size > 1:
            losses = token_losses(row_logits(model, piece[None, :-1], None), piece[1:])
            total += float(losses.sum())
            targets += losses.size
    return total / targets


def _tokens(tokenizer: Any, texts: Iterable[str]) -> Iterable[int]:
    for text in texts:
        yield from tokenizer.encode(text, add_special_tokens=False)
        if tokenizer.eos_token_id is not None:
            yield tokenizer.eos_token_id
