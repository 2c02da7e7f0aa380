"""Time queries behind cached demonstrations against mlx-lm itself, both sides in one run.

    python benchmarks/prompting.py [--model tiny] [--tokens 4000] [--queries 200] --json

`ratio`: a query behind the cache, as a share of reading everything again. Further lines: the same
against mlx-lm's own cached prompt; the best of labels in batches against one mlx-lm forward a label
behind the same cached prefix; batches against one by one, and against reading the same tokens at
once; how long a cancel waits. Texts are drawn letters and words, the same for the same seed.
"""

import argparse
import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import make_prompt_cache

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.models.base import load_base
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.label_tree import best_each
from yofo_mlx.recipe.schema import Template

WORDS = "card bank transfer fee cash top up limit lost stolen exchange rate pending refund".split()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that work takes, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def text(draw: Random, words: int) -> str:
    """Return some words."""
    return " ".join(draw.choices(WORDS, k=words))


def forward_a_label(model: Any, cache: list[Any], question: list[int], answer: list[int]) -> float:
    """Return a label's log-probability by mlx-lm alone, behind a cached prompt that stays."""
    logits = model(mx.array([[*question, *answer[:-1]]]), cache=cache)[0, len(question) - 1 :]
    for layer in cache:
        layer.trim(len(question) + len(answer) - 1)
    logits = logits.astype(mx.float32)
    logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    return float(mx.take_along_axis(logprobs, mx.array(answer)[:, None], axis=-1).sum())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--labels", type=int, default=77)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    base = load_base(options.model)
    base.model.eval()
    segmenter, draw = Segmenter(base.tokenizer, Template()), Random(0)
    labels: list[str] = []
    while len(labels) < options.labels:
        label = text(draw, draw.randint(2, 4)).replace(" ", "_")
        labels += [label] if label not in labels else []
    prefix = list(segmenter.opening)
    while len(prefix) < options.tokens:
        prefix += segmenter.question(text(draw, 8), first=False)
        prefix += segmenter.answer(draw.choice(labels))
    prefix = prefix[: options.tokens]
    questions = [
        segmenter.question(text(draw, draw.randint(5, 12))) for _ in range(options.queries)
    ]
    answers = {label: segmenter.answer(label) for label in labels}

    context, own = Context(base.model), make_prompt_cache(base.model)
    reading, _ = timed(lambda: context.read([*prefix, *questions[0]]))
    context.cut(len(prefix))
    for start in range(0, len(prefix), 512):
        base.model(mx.array([prefix[start : start + 512]]), cache=own)
        mx.eval([layer.state for layer in own])

    def behind(cache: list[Any]) -> None:
        mx.eval(base.model(mx.array([questions[0]]), cache=cache)[:, -1])

    def by_cache() -> None:
        with context.aside():
            context.logits(mx.array([questions[0]]), mx.array([len(questions[0]) - 1]))

    def by_mlx() -> None:
        behind(own)
        for layer in own:
            layer.trim(len(questions[0]))

    cached = min(timed(by_cache)[0] for _ in range(5))
    theirs = min(timed(by_mlx)[0] for _ in range(5))

    def ours(at_once: int) -> list[str]:
        found = best_each(context, segmenter, questions, labels, at_once)
        return [best.label for _, best in sorted(found)]

    def one_a_label() -> list[str]:
        winners = []
        for question in questions:
            scores = [forward_a_label(base.model, own, question, answers[one]) for one in labels]
            winners.append(labels[int(np.argmax(scores))])
        return winners

    ours(options.at_once)  # warm
    batched, winners = timed(lambda: ours(options.at_once))
    singly, alone = timed(lambda: ours(1))
    few = max(1, len(questions) // 10)  # the slow side by a part of the queries
    whole, questions = questions, questions[:few]
    forwards, expected = timed(one_a_label)
    questions = whole
    # The same tokens in one batch: each question and its answer, padded, behind the shared prefix.
    texts = [[*question, *answers[best]] for question, best in zip(questions, winners, strict=True)]
    width = max(map(len, texts))
    rows = mx.array([one + [0] * (width - len(one)) for one in texts])

    def one_batch() -> None:
        for start in range(0, len(rows), options.at_once):
            piece = rows[start : start + options.at_once]
            with context.aside(max(2, len(piece))) as lent:
                lent.logits(piece, mx.array([0]))

    batch, _ = timed(one_batch)
    found = {
        "model": options.model,
        "tokens": len(prefix),
        "queries": len(questions),
        "labels": len(labels),
        "ratio": cached / reading,
        "cached_s": cached,
        "reading_s": reading,
        "mlx_lm_cached_s": theirs,
        "labels_times_mlx_lm": (forwards / few) / (batched / len(questions)),
        "same_winners": winners[:few] == expected,
        "winners_compared": few,
        "batched_times_one_by_one": singly / batched,
        "same_as_one_by_one": winners == alone,
        "times_reading_in_one_batch": batched / batch,
        "queries_per_s": len(questions) / batched,
    }
    for name, value in found.items():
        if not options.json:
            print(f"{name:28} {value}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
