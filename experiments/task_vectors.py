"""Task vectors (arXiv 2406.15334, in text) against fewer shots: the first token of answers.

    python experiments/task_vectors.py --adapter RUN/adapter

What attention heads give at a query's last token behind 16 demonstrations is averaged over training
rows, and put in the place of what they give without demonstrations, for a share of the heads: those
that alone lower the loss of training rows most (the paper draws them by REINFORCE). Only the first
token of an answer is changed by it, and only that is counted.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx
import numpy as np

from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.loading import find_source, load
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.selection import balanced
from yofo_mlx.recipe.schema import TaskSource, Template
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.task import Example

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
SHOTS = (0, 1, 2, 4, 8, 16)
MEANS_OF, JUDGED_BY, QUERIES = 24, 16, 32
PLAIN = Template(style="plain", input="{input} ->", output=" {output}\n")


class Tap:
    """Before an attention's last layer: notes what heads give, or puts other vectors there."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.seen, self.vector, self.mask = inner, None, None, None

    def __call__(self, x: mx.array) -> mx.array:
        """Call the layer, the last token's heads replaced where there is a mask."""
        self.seen = x[0, -1]
        if self.mask is not None:
            last = mx.where(self.mask, self.vector, x[:, -1])
            x = mx.concatenate([x[:, :-1], last[:, None]], axis=1)
        return self.inner(x)


@contextmanager
def tapped(model: Any) -> Iterator[list[Tap]]:
    """Put taps into all layers, and take them out again."""
    attentions = [layer.self_attn for layer in model.layers]
    taps = [Tap(attention.o_proj) for attention in attentions]
    for attention, tap in zip(attentions, taps, strict=True):
        attention.o_proj = tap
    try:
        yield taps
    finally:
        for attention, tap in zip(attentions, taps, strict=True):
            attention.o_proj = tap.inner


def first(model: Any, prefix: Prefix, asked: Sequence[Example]) -> list[tuple[float, float]]:
    """Return loss of, and whether right is, the first token of each answer."""
    found = []
    for one in asked:
        with prefix.context.aside() as context:
            question = prefix.question(one.input)
            logits = context.logits(mx.array([question]), mx.array([len(question) - 1]))
        answer = prefix.segmenter.answer(one.output)[0]
        loss = token_losses(logits, mx.array([answer])).item()
        found.append((loss, float(logits[0].argmax().item() == answer)))
    return found


def behind(base: Any, task: Any, shown: Sequence[Example]) -> Prefix:
    """Return a filled prefix."""
    prefix = Prefix(Context(base.model), base.tokenizer, PLAIN, base.context)
    prefix.choose(shown, task.instruction)
    prefix.fill()
    return prefix


def rates(base: Any, task: Any) -> Iterator[tuple[str, Any]]:
    """Yield mean loss and accuracy by way."""
    rows = balanced(task.train, 0)
    asked = balanced(task.test or task.valid, 1)[:QUERIES]
    for shots in SHOTS:
        yield (
            f"{shots} shots",
            np.mean(first(base.model, behind(base, task, rows[:shots]), asked), 0),
        )
    heads = base.model.layers[0].self_attn.n_heads
    judges = rows[16 + MEANS_OF : 16 + MEANS_OF + JUDGED_BY]
    zero, many = behind(base, task, ()), behind(base, task, rows[:16])
    with tapped(base.model) as taps:
        sums = [mx.zeros(()) for _ in taps]
        for one in rows[16 : 16 + MEANS_OF]:
            first(base.model, many, [one])
            sums = [total + tap.seen / MEANS_OF for total, tap in zip(sums, taps, strict=True)]
            mx.eval(sums)
        size = sums[0].size // heads
        for tap, vector in zip(taps, sums, strict=True):
            tap.vector = vector

        def put(chosen: Sequence[tuple[int, int]]) -> None:
            for layer, tap in enumerate(taps):
                on = np.repeat([(layer, head) in chosen for head in range(heads)], size)
                tap.mask = mx.array(on)

        every = [(layer, head) for layer in range(len(taps)) for head in range(heads)]
        alone = {}
        for one in every:
            put([one])
            alone[one] = np.mean(first(base.model, zero, judges), 0)[0]
        order = sorted(every, key=alone.__getitem__)
        for share in SHARES:
            put(order[: max(1, round(share * len(order)))])
            yield f"vectors of {share:.0%} of the heads", np.mean(first(base.model, zero, asked), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--adapter")
    parser.add_argument("--only", type=int, default=8, help="tasks, spread over all")
    options = parser.parse_args()
    base = load(find_source(None, "tiny", options.adapter), use_adapter=True).base
    entries = load_tasks((TaskSource(source="tiny:held_out"),), 0, Path.cwd(), "")
    entries = entries[:: max(1, len(entries) // options.only)][: options.only]
    found: dict[str, list[Any]] = {}
    for entry in entries:
        for way, pair in rates(base, entry.task):
            found.setdefault(way, []).append(pair)
    print("| way | first token right | its loss |\n|---|--:|--:|")
    for way, pairs in found.items():
        loss, right = np.mean(pairs, axis=0)
        print(f"| {way} | {100 * right:.1f} % | {loss:.3f} |")


if __name__ == "__main__":
    main()
