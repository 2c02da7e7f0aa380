"""Time queries behind cached demonstrations against mlx-lm itself, both sides in one run.

    python benchmarks/prompting.py [--model tiny] [--tokens 4000] [--queries 200] [--json]
    python benchmarks/prompting.py --model DIR --adapter DIR --data SOURCE --shots 32 --out FILE

`ratio`: a query behind the cache, as a share of reading everything again. Further lines: the same
against mlx-lm's own cached prompt; the best of labels in batches against one mlx-lm forward a label
behind the same cached prefix; labels and free answers in batches against one by one, and against
reading the same queries and answers at once. Demonstrations, queries and labels are those of a data
set, or drawn words. Seconds are the CPU's where MLX computes on one: what else runs there does not
count. Each part that is done is kept in the file (--out): stopped, the script goes on.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import measurements

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting.batched import answer_each
from yofo_mlx.prompting.context import CHUNK, Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.label_tree import best_each
from yofo_mlx.prompting.loading import find_source, load
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.system.files import write_text
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.task import Example

WORDS = "card bank transfer fee cash top up limit lost stolen exchange rate pending refund".split()
Figures = dict[str, Any]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that work takes, and its result."""
    clock = time.process_time if mx.default_device() == mx.cpu else time.perf_counter
    started = clock()
    result = work()
    return clock() - started, result


def drawn(options: argparse.Namespace) -> tuple[list[str], Iterator[Example], list[str]]:
    """Return labels, demonstrations and queries: of a data set, or of drawn words."""
    draw = Random(0)
    if options.data:
        [entry] = load_tasks(
            [TaskSource(source=options.data, records=options.records)], 0, Path.cwd()
        )
        task = entry.task
        queries = [one.input for one in draw.sample(list(task.test), options.queries)]
        shown = draw.sample(list(task.train), len(task.train))
        return sorted({one.output for one in task.train}), iter(shown), queries
    labels: list[str] = []
    while len(labels) < options.labels:
        label = "_".join(draw.choices(WORDS, k=draw.randint(2, 4)))
        labels += [label] if label not in labels else []

    def texts(least: int, most: int) -> Iterator[str]:
        while True:
            yield " ".join(draw.choices(WORDS, k=draw.randint(least, most)))

    queries = [text for text, _ in zip(texts(5, 12), range(options.queries), strict=False)]
    return labels, (Example(text, draw.choice(labels)) for text in texts(8, 8)), queries


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
        loaded = load(find_source(None, options.model, options.adapter), use_adapter=True)
        self.model, self.at_once = loaded.base.model, options.at_once
        self.model.eval()
        self.max_tokens, self.compared = options.max_tokens, min(options.compared, options.queries)
        self.segmenter = Segmenter(loaded.base.tokenizer, loaded.source.template)
        self.labels, shown, queries = drawn(options)
        self.answers = {label: self.segmenter.answer(label) for label in self.labels}
        tokens, shots = list(self.segmenter.opening), 0
        while shots < options.shots if options.shots else len(tokens) < options.tokens:
            one, shots = next(shown), shots + 1
            tokens += self.segmenter.question(one.input, first=shots == 1)
            tokens += self.segmenter.answer(one.output)
        self.prefix = tokens if options.shots else tokens[: options.tokens]
        self.questions = [self.segmenter.question(query) for query in queries]

    @cached_property
    def context(self) -> Context:
        """The demonstrations, read; and it is known whether rows may share them."""
        context = Context(self.model)
        context.read(self.prefix)
        context.can_pool()
        return context

    def read(self) -> None:
        """Read the demonstrations on both sides, before any clock runs."""
        _ = self.context, self.cache

    @cached_property
    def cache(self) -> list[Any]:
        """The same in a cache of mlx-lm's."""
        cache = make_prompt_cache(self.model)
        for start in range(0, len(self.prefix), CHUNK):
            self.model(mx.array([self.prefix[start : start + CHUNK]]), cache=cache)
            mx.eval([layer.state for layer in cache])
        return cache

    def cached(self) -> Figures:
        """Time one query behind the cache, and everything read again."""
        question = self.questions[0]
        whole = [*self.prefix, *question]
        reading = min(timed(lambda: Context(self.model).read(whole))[0] for _ in range(2))

        def ours() -> None:
            with self.context.aside():
                self.context.logits(mx.array([question]), mx.array([len(question) - 1]))

        def theirs() -> None:
            mx.eval(self.model(mx.array([question]), cache=self.cache)[:, -1])
            for layer in self.cache:
                layer.trim(len(question))

        ours(), theirs()
        pairs = [(timed(ours)[0], timed(theirs)[0]) for _ in range(7)]
        cached, by_mlx_lm = (sorted(some)[3] for some in zip(*pairs, strict=True))
        again = [
            generate(context, self.segmenter, [*asked], max_tokens=self.max_tokens).text
            for context, asked in ((self.context, question), (Context(self.model), whole))
        ]
        return {
            "ratio": cached / reading,
            "query_tokens": len(question),
            "cached_s": cached,
            "reading_s": reading,
            "cached_by_mlx_lm_s": by_mlx_lm,
            "same_answer_as_without_cache": again[0] == again[1],
        }

    def forwards(self) -> Figures:
        """Time the best of labels by one mlx-lm forward a label, and by ours, of a few queries."""

        def scored(question: list[int]) -> str:
            of = {
                label: forward_a_label(self.model, self.cache, question, answer)
                for label, answer in self.answers.items()
            }
            return max(of, key=lambda label: of[label])

        some = self.questions[: self.compared]
        theirs, expected = timed(lambda: [scored(question) for question in some])
        ours, found = timed(lambda: self._best(some, self.at_once))
        return {
            "labels_times_mlx_lm": theirs / ours,
            "same_winners": found == expected,
            "winners_compared": len(some),
        }

    def choosing(self) -> Figures:
        """Time the best of labels in batches."""
        return self._in_batches("labels", lambda at_once: self._best(self.questions, at_once))

    def writing(self) -> Figures:
        """Time free answers in batches."""

        def written(at_once: int) -> list[str]:
            given = self.context, self.segmenter, self.questions
            found = answer_each(*given, max_tokens=self.max_tokens, at_once=at_once)
            return [one.text for _, one in sorted(found, key=lambda pair: pair[0])]

        return self._in_batches("answers", written)

    def _best(self, questions: Sequence[Sequence[int]], at_once: int) -> list[str]:
        found = best_each(self.context, self.segmenter, questions, self.labels, at_once)
        return [best.label for _, best in sorted(found, key=lambda pair: pair[0])]

    def _in_batches(self, name: str, work: Callable[[int], list[str]]) -> Figures:
        together, found = timed(lambda: work(self.at_once))
        singly, alone = timed(lambda: work(1))
        reading, _ = timed(lambda: self._read_at_once(found))
        return {
            f"{name}_times_one_by_one": singly / together,
            f"{name}_same_as_one_by_one": found == alone,
            f"{name}_times_reading_at_once": together / reading,
            f"{name}_per_s": len(found) / together,
        }

    def _read_at_once(self, answers: Sequence[str]) -> None:
        """Read each query with its answer, in batches of nothing but rows of like length."""
        pairs = zip(self.questions, answers, strict=True)
        asked = [[*question, *self.segmenter.answer(text)] for question, text in pairs]
        asked.sort(key=len)
        for start in range(0, len(asked), self.at_once):
            piece = asked[start : start + self.at_once]
            rows = mx.array([one + [0] * (len(piece[-1]) - len(one)) for one in piece])
            with self.context.aside(len(piece)) as lent:
                lent.logits(rows, mx.array([0]))


def measure(options: argparse.Namespace) -> tuple[Figures, Figures]:
    """Return all figures, those that are kept from before among them, and what they are of."""
    kept: Figures = json.loads(options.out.read_text()) if options.out.exists() else {}
    names = ("model", "adapter", "data", "shots", "tokens", "queries", "labels", "at_once")
    told = {name: getattr(options, name) for name in (*names, "max_tokens", "compared")}
    key = json.dumps(told)
    done = kept.setdefault(key, {"machine": versions_and_machine()})
    bench = Bench(options)
    for part in options.parts.split(","):
        if part not in done:
            bench.read()
            done[part] = getattr(bench, part)() | {"load": os.getloadavg()[0]}
            write_text(options.out, json.dumps(kept, indent=1))
    figures = {name: value for part in PARTS for name, value in done.get(part, {}).items()}
    sizes = {"prefix_tokens": len(bench.prefix), "labels": len(bench.labels)}
    return figures, told | sizes


PARTS = ("cached", "forwards", "choosing", "writing")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--adapter")
    parser.add_argument("--data", help="a data set of labels; else words are drawn")
    parser.add_argument("--records", help="where in the file its rows are, as in a recipe")
    parser.add_argument("--tokens", type=int, default=4000, help="of demonstrations")
    parser.add_argument("--shots", type=int, help="so many demonstrations, in place of --tokens")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--compared", type=int, default=20, help="queries that mlx-lm is asked")
    parser.add_argument("--labels", type=int, default=77, help="drawn, where there is no --data")
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=16, help="of a free answer")
    parser.add_argument("--parts", default=",".join(PARTS), help="of these, those to measure")
    parser.add_argument("--out", type=Path, default=Path("out/prompting.json"))
    parser.add_argument("--json", action="store_true")
    measurements.add_option(parser)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figures, told = measure(options)
    data, adapter = Path(options.data or "drawn").name, " with adapter" if options.adapter else ""
    about = {"model": options.model + adapter, "tokens": told["prefix_tokens"]}
    method = f"prompting, {data}, {told['labels']} labels, {options.queries} queries"
    measurements.keep(options.table, figures, method=method, **about)
    if options.json:
        print(json.dumps(figures | told))
    else:
        for name, value in (figures | told).items():
            print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
