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
from yofo_mlx.prompting.questions import groups_of, read_rows


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
    if at_once > 1 and context.can_fork:
        for group in groups_of(context, questions, at_once):
            asked = [questions[place] for place in group]
            for number, answer in _behind_shared(context, segmenter, asked, max_tokens, on_chunk):
                yield group[number], answer
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


def _behind_shared(
    context: Context,
    segmenter: Segmenter,
    questions: Sequence[Sequence[int]],
    max_tokens: int,
    on_chunk: OnChunk,
) -> Iterator[tuple[int, Written]]:
    """Write answers to a few questions, one token of all at a time."""
    if len(questions) == 1:
        yield 0, _alone(context, segmenter, questions[0], max_tokens, on_chunk)
        return
    texts = {place: AnswerText(segmenter) for place in range(len(questions))}
    with context.aside(len(questions)) as rows:
        logits = read_rows(rows, questions, on_chunk)
        rows = rows.fork(range(len(questions)), [len(question) for question in questions])
        for count in range(1, max_tokens + 1):
            tokens, going = np.array(logits.argmax(axis=-1)).tolist(), []
            for row, (place, text) in enumerate([*texts.items()]):
                text.add(tokens[row])
                if text.is_complete or count == max_tokens:
                    del texts[place]
                    yield place, Written(text.finish()[0], text.is_complete)
                else:
                    going.append(row)
            if not going:
                return
            if len(going) < len(tokens):
                rows = rows.fork(going)
            next_ones = mx.array([[tokens[row]] for row in going])
            on_chunk(len(rows.tokens))
            logits = rows.logits(next_ones, mx.arange(len(going)))
