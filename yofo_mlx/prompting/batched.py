"""Answers to many questions side by side, each behind the same context, which stays as it was."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from mlx_lm.generate import BatchGenerator

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import Cancelled
from yofo_mlx.prompting.context import CHUNK, Context, OnChunk, ignore
from yofo_mlx.prompting.generation import AnswerText, generate
from yofo_mlx.prompting.questions import write_each
from yofo_mlx.system.wired import keep_below


@dataclass(frozen=True)
class Written:
    """A greedy answer; one that is not complete was cut at the most tokens it may have."""

    text: str
    is_complete: bool


def answer_each(
    context: Context,
    segmenter: Segmenter,
    questions: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    at_once: int,
    on_chunk: OnChunk = ignore,
) -> Iterator[tuple[int, Written]]:
    """Yield the place of each question with its answer, as they end: what `generate` gives.

    `on_chunk`, called between chunks and tokens, may raise Cancelled; the context stays as it was.
    """
    if min(at_once, len(questions)) > 1 and context.can_pool(on_chunk):
        limits = {"max_tokens": max_tokens, "at_once": at_once}
        yield from _side_by_side(context, segmenter, questions, **limits, on_chunk=on_chunk)
        return
    if at_once == 1 or not all(hasattr(layer, "merge") for layer in context.layers):
        for place, question in enumerate(questions):
            yield place, _alone(context, segmenter, question, max_tokens, on_chunk)
        return
    batch = BatchGenerator(
        context.model,
        # In half precision log-probabilities tie where logits do not.
        logits_processors=[lambda _, logits: logits.astype(mx.float32)],
        completion_batch_size=at_once,
        prefill_batch_size=at_once,
        prefill_step_size=CHUNK,
    )
    keep_below()
    with closing(batch):
        count = len(questions)
        # Each sequence begins with a copy of the cache, made when its turn comes.
        uids = batch.insert(
            list(map(list, questions)), [max_tokens] * count, [context.layers] * count
        )
        texts = {uid: (place, AnswerText(segmenter)) for place, uid in enumerate(uids)}
        while responses := batch.next_generated():
            on_chunk(len(context.tokens))
            for response in responses:
                place, text = texts[response.uid]
                text.add(response.token)
                if text.is_complete or response.finish_reason:
                    if not response.finish_reason:
                        batch.remove([response.uid])
                    yield place, Written(text.finish()[0], text.is_complete)


def _alone(
    context: Context,
    segmenter: Segmenter,
    question: Sequence[int],
    max_tokens: int,
    on_chunk: OnChunk,
) -> Written:
    answer = generate(context, segmenter, question, max_tokens=max_tokens, on_chunk=on_chunk)
    if answer.finish == "cancelled":
        raise Cancelled("cancelled")
    return Written(answer.text, answer.finish == "end")


def _side_by_side(
    context: Context,
    segmenter: Segmenter,
    questions: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    at_once: int,
    on_chunk: OnChunk,
) -> Iterator[tuple[int, Written]]:
    """Write several answers together; as some of them end, others come in."""
    texts: dict[int, AnswerText] = {}

    def take(places: Sequence[int], logits: mx.array) -> Iterator[int | None]:
        for place, token in zip(places, np.array(logits.argmax(axis=-1)).tolist(), strict=True):
            text = texts.setdefault(place, AnswerText(segmenter))
            text.add(token)
            yield None if text.is_complete or text.count == max_tokens else token

    for place in write_each(context, questions, at_once, take, on_chunk):
        text = texts.pop(place)
        yield place, Written(text.finish()[0], text.is_complete)
