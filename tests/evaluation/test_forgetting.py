"""The loss on plain texts: that of each token after those before it in its window."""

import mlx.core as mx
import numpy as np
import pytest

from tests.fakes import ByteTokenizer, random_llama
from yofo_mlx.errors import DataError
from yofo_mlx.evaluation.forgetting import text_loss

TEXTS = ["the quick brown fox", "jumps over", "the lazy dog"]


@pytest.mark.parametrize(("tokens", "window"), [(30, 512), (30, 7), (31, 10), (2, 2)])
def test_the_loss_is_the_mean_over_tokens_of_windows_read_alone(tokens: int, window: int) -> None:
    model = random_llama()
    stream = [token for text in TEXTS for token in (*text.encode(), 257)][:tokens]
    losses = []
    for start in range(0, tokens, window):
        piece = stream[start : start + window]
        for end in range(1, len(piece)):
            logits = np.array(model(mx.array([piece[:end]]))[0, -1]).astype(np.float64)
            losses.append(np.log(np.exp(logits).sum()) - logits[piece[end]])
    found = text_loss(model, ByteTokenizer(), TEXTS, tokens, window=window)
    assert found == pytest.approx(np.mean(losses), rel=1e-5)
    assert found == text_loss(model, ByteTokenizer(), iter(TEXTS), tokens, window=window)


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(DataError, match="have 44 tokens, and 45 are to be read"):
        text_loss(random_llama(), ByteTokenizer(), TEXTS, 45)
