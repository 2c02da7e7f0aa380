"""Answers, token by token, from a context that stands unchanged afterwards."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.sample_utils import make_sampler

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import Cancelled
from yofo_mlx.prompting.context import Context, OnChunk, ignore

Finish = Literal["end", "length", "cancelled"]
UNKNOWN = "\ufffd"  # how a decoder shows a character whose last bytes are still missing


@dataclass(frozen=True)
class Answer:
    """A generated answer."""

    text: str
    tokens: int
    seconds: float
    tokens_per_s: float
    finish: Finish


class AnswerText:
    """Text of growing tokens, handed out in pieces that later tokens cannot change."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._end = segmenter.end_text.strip()
        self._tokens: list[int] = []
        self._shown = ""

    def add(self, token: int) -> str:
        """Take a token; return the text that has become certain."""
        self._tokens.append(token)
        return self._show(self._without_beginning_of_end(self._text()))

    def finish(self) -> tuple[str, str]:
        """Return the whole text and what was not handed out yet."""
        text = self._text()
        return text, self._show(text)

    @property
    def count(self) -> int:
        """Return how many tokens there are."""
        return len(self._tokens)

    @property
    def is_complete(self) -> bool:
        """Tell whether the answer's end has come."""
        return self._segmenter.is_complete(self._tokens)

    def _text(self) -> str:
        return self._segmenter.text(self._tokens).rstrip(UNKNOWN).rstrip()

    def _show(self, text: str) -> str:
        if not text.startswith(self._shown):
            return ""
        piece, self._shown = text[len(self._shown) :], text
        return piece

    def _without_beginning_of_end(self, text: str) -> str:
        sizes = range(len(self._end), 0, -1)
        size = next((size for size in sizes if text.endswith(self._end[:size])), 0)
        return text[: len(text) - size].rstrip()


def generate(
    context: Context,
    segmenter: Segmenter,
    question: Sequence[int],
    *,
    max_tokens: int,
    temperature: float = 0.0,
    on_text: Callable[[str], None] = lambda _: None,
    on_chunk: OnChunk = ignore,
) -> Answer:
    """Answer a question; `on_chunk`, called between chunks and tokens, may raise Cancelled."""
    text = AnswerText(segmenter)
    finish: Finish = "cancelled"
    count, decoding = 0, (started := time.perf_counter())
    with suppress(Cancelled), context.aside():
        context.read(question[:-1], on_chunk)
        decoding = time.perf_counter()
        for token in _tokens(context, question[-1], max_tokens, temperature):
            count += 1
            if piece := text.add(token):
                on_text(piece)
            if text.is_complete:
                finish = "end"
                break
            on_chunk(len(context.tokens) + count)
        else:
            finish = "length"
    whole, rest = text.finish()
    if rest:
        on_text(rest)
    now = time.perf_counter()
    speed = count / max(now - decoding, 1e-9)
    return Answer(whole, count, now - started, speed, finish)


def _tokens(context: Context, last: int, max_tokens: int, temperature: float) -> Any:
    """Yield token ids; mlx-lm's loop computes one ahead, which the context forgets again."""
    steps = generate_step(
        mx.array([last]),
        context.model,
        max_tokens=max_tokens,
        sampler=make_sampler(temp=temperature),
        # In half precision log-probabilities tie where logits do not.
        logits_processors=[lambda _, logits: logits.astype(mx.float32)],
        prompt_cache=context.layers,
    )
    with context.whole_or_nothing():
        for token, _ in steps:
            yield int(token)
