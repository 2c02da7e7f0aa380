"""Time queries behind cached demonstrations against mlx-lm itself, both sides in one run.

<<<<<<< HEAD
    python benchmarks/prompting.py [--model tiny] [--tokens 4000] [--queries 200] --json
=======
    python benchmarks/prompting.py [--model tiny] [--tokens 4000] [--queries 200] [--json]
>>>>>>> batch

`ratio`: a query behind the cache, as a share of reading everything again. Further lines: the same
against mlx-lm's own cached prompt; the best of labels in batches against one mlx-lm forward a label
behind the same cached prefix; batches against one by one, and against reading the same tokens at
once. Texts are drawn letters and words, the same for the same seed.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import make_prompt_cache

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.models.base import load_base
from yofo_mlx.prompting.context import CHUNK, Context
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


class Bench:
    """A model behind the same tokens twice: in a context of ours, in a cache of mlx-lm's."""

    def __init__(self, options: argparse.Namespace) -> None:
        base, draw = load_base(options.model), Random(0)
        base.model.eval()
        self.model, self.at_once = base.model, options.at_once
        self.segmenter = Segmenter(base.tokenizer, Template())
        self.labels: list[str] = []
        while len(self.labels) < options.labels:
            label = text(draw, draw.randint(2, 4)).replace(" ", "_")
            self.labels += [label] if label not in self.labels else []
        self.answers = {label: self.segmenter.answer(label) for label in self.labels}
        tokens = list(self.segmenter.opening)
        while len(tokens) < options.tokens:
            tokens += self.segmenter.question(text(draw, 8))
            tokens += self.segmenter.answer(draw.choice(self.labels))
        self.prefix = tokens[: options.tokens]
        texts = [text(draw, draw.randint(5, 12)) for _ in range(options.queries)]
        self.questions = [self.segmenter.question(one) for one in texts]
        self.context, self.cache = Context(base.model), make_prompt_cache(base.model)

    def read(self) -> None:
        """Read the demonstrations and a query into the context."""
        self.context.read([*self.prefix, *self.questions[0]])

    def read_by_mlx_lm(self) -> None:
        """Read the demonstrations into mlx-lm's cache."""
        for start in range(0, len(self.prefix), CHUNK):
            self.model(mx.array([self.prefix[start : start + CHUNK]]), cache=self.cache)
            mx.eval([layer.state for layer in self.cache])

    def query(self) -> None:
        """Read one query behind the context."""
        question = self.questions[0]
        with self.context.aside():
            self.context.logits(mx.array([question]), mx.array([len(question) - 1]))

    def query_by_mlx_lm(self) -> None:
        """Read one query behind mlx-lm's cache."""
        mx.eval(self.model(mx.array([self.questions[0]]), cache=self.cache)[:, -1])
        for layer in self.cache:
            layer.trim(len(self.questions[0]))

    def best(self, at_once: int) -> list[str]:
        """Return the best label of each query."""
        given = self.context, self.segmenter, self.questions, self.labels, at_once
        return [best.label for _, best in sorted(best_each(*given))]

    def best_by_mlx_lm(self, count: int) -> list[str]:
        """Return the best label of the first queries, by one forward a label."""
        winners = []
        for question in self.questions[:count]:
            scores = [
                forward_a_label(self.model, self.cache, question, self.answers[label])
                for label in self.labels
            ]
            winners.append(self.labels[int(np.argmax(scores))])
        return winners

    def read_at_once(self, winners: Sequence[str]) -> None:
        """Read each query with its answer, in batches of copies of nothing but the prefix."""
        pairs = zip(self.questions, winners, strict=True)
        asked = [[*question, *self.answers[label]] for question, label in pairs]
        width = max(map(len, asked))
        rows = mx.array([one + [0] * (width - len(one)) for one in asked])
        for start in range(0, len(rows), self.at_once):
            piece = rows[start : start + self.at_once]
            with self.context.aside(len(piece)) as lent:
                lent.logits(piece, mx.array([0]))


def measure(bench: Bench, compared: int) -> dict[str, Any]:
    """Return all figures; mlx-lm's forwards are of so many queries only."""
    reading, _ = timed(bench.read)
    bench.context.cut(len(bench.prefix))
    bench.read_by_mlx_lm()
    cached = min(timed(bench.query)[0] for _ in range(5))
    theirs = min(timed(bench.query_by_mlx_lm)[0] for _ in range(5))
    count = len(bench.questions)
    together, winners = timed(lambda: bench.best(bench.at_once))
    singly, alone = timed(lambda: bench.best(1))
    forwards, expected = timed(lambda: bench.best_by_mlx_lm(compared))
    at_once, _ = timed(lambda: bench.read_at_once(winners))
    return {
        "ratio": cached / reading,
        "tokens": len(bench.prefix),
        "queries": count,
        "labels": len(bench.labels),
        "cached_s": cached,
        "reading_s": reading,
        "cached_by_mlx_lm_s": theirs,
        "labels_times_mlx_lm": forwards / compared / (together / count),
        "same_winners": winners[:compared] == expected,
        "winners_compared": compared,
        "times_one_by_one": singly / together,
        "same_as_one_by_one": winners == alone,
        "times_reading_at_once": together / at_once,
        "queries_per_s": count / together,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--tokens", type=int, default=4000, help="of demonstrations")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--compared", type=int, default=20, help="queries that mlx-lm is asked")
    parser.add_argument("--labels", type=int, default=77)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(Bench(options), min(options.compared, options.queries))
    if options.json:
        print(json.dumps({"model": options.model} | figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
