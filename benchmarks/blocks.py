"""Demonstrations in blocks against full attention: what is read, what it costs, what it loses.

    python benchmarks/blocks.py --json
    python benchmarks/blocks.py --tasks 8

On the embedded model and held-out tasks of its suite: nats a token of the right answers, behind all
demonstrations and behind blocks; what a query reads; what encoding costs at two sizes.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import measurements

from yofo_mlx.system import blas

blas.preload()

from yofo_mlx.prompting.blocks import Blocks, Selection, sparse
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.loading import find_source, load
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.tasks.suite import tasks
from yofo_mlx.tasks.task import Example, Task

SIZE, SHOTS = 4, 80  # demonstrations in a block, and in all


def anchor_only(block: int) -> Selection:
    return (0,) if block else ()


def dense(block: int) -> Selection:
    return tuple(range(block))


def losses(prefix: Callable[[str], Prefix], asked: Sequence[Example]) -> list[float]:
    """Return nats of the right answers, their ends included."""
    found = []
    for one in asked:
        behind = prefix(one.input)
        pair = (behind.question(one.input), behind.segmenter.answer(one.output))
        (reading,) = read_answers(behind.context, [pair])
        found.append(float(reading.losses.sum()))
    return found


def measured(empty: Callable[[], Prefix], task: Task) -> dict[str, Any]:
    shots, asked = list(task.train[:SHOTS]), list(task.test[:8])
    whole = empty()
    whole.choose(shots, "")
    whole.fill()
    every = tuple(range(SHOTS // SIZE))

    def blocks(sees: Callable[[int], Selection]) -> Blocks:
        made = Blocks(empty, size=SIZE, sees=sees)
        made.fill(shots)
        return made

    encoded, full, thin = blocks(sparse), blocks(dense), blocks(anchor_only)
    read = [encoded.behind(one.input) for one in asked]
    everything = encoded.prefix(every).context.nbytes
    return {
        "full attention": losses(lambda _: whole, asked),
        "all blocks, dense": losses(lambda _: full.prefix(every), asked),
        "all blocks": losses(lambda _: encoded.prefix(every), asked),
        "30 % of the blocks": losses(encoded.behind, asked),
        "all blocks, each with the anchor only": losses(lambda _: thin.prefix(every), asked),
        "the anchor alone": losses(lambda _: encoded.prefix((0,)), asked),
        "tokens_read": [len(one.tokens) / encoded.tokens for one in read],
        "bytes_read": [one.context.nbytes / everything for one in read],
    }


def cost(empty: Callable[[], Prefix], shots: Sequence[Example]) -> float:
    """Return milliseconds a token that encoding takes."""
    blocks = Blocks(empty, size=SIZE)
    began = time.perf_counter()
    blocks.fill(shots)
    return (time.perf_counter() - began) / blocks.tokens * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    measurements.add_option(parser)
    options = parser.parse_args()
    source = find_source(None, "tiny", None)
    base = load(source, use_adapter=False).base
    empty = partial(_empty, base, source)
    chosen = [one for one in tasks.tasks("held_out") if len(one.train) >= SHOTS][: options.tasks]
    rows = [measured(empty, task) for task in chosen]
    found: dict[str, Any] = {
        key: sum(sum(row[key]) for row in rows) / sum(len(row[key]) for row in rows)
        for key in rows[0]
    }
    full, every = "full attention", "all blocks, dense"
    differences = (
        abs(one - other) for row in rows for one, other in zip(row[full], row[every], strict=True)
    )
    found["largest difference, dense"] = max(differences)
    many = [one for task in chosen for one in task.train]
    cost(empty, many[:SHOTS])
    found["ms a token, 80"], found["ms a token, 320"] = (
        cost(empty, many[:count]) for count in (80, 320)
    )
    found = {"ratio": found["tokens_read"], **found}
    measurements.keep(options.table, found, method="blocks", model="tiny")
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{key}: {value:.4g}" for key, value in found.items()))


def _empty(base: Any, source: Any) -> Prefix:
    return Prefix(Context(base.model), base.tokenizer, source.template, None)


if __name__ == "__main__":
    main()
