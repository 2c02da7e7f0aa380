"""Short episodes one by one, in padded rows, and packed in one row: CPU seconds, memory, exactness.

    python benchmarks/packing.py --model tiny --episodes 48 --rounds 3
    python benchmarks/packing.py --model tiny --least 128 --most 128 --episodes 64 --rounds 1

All ways take the same episodes of random tokens, in turns in one process, and end with the same
gradients; `relative` is the largest difference of a parameter's gradient from the one of episodes
that are read one by one, by its norm. `--row` is the most tokens of a packed row or padded pass.
The last line is one episode as long as the first row, for its memory. Seconds are the process's
CPU time where the model runs on a CPU, else the clock's; the least of the rounds counts.
"""

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map

from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.packing import alike, rows_of
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.gradients import loss_and_gradients
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.models.base import load_base
from yofo_mlx.recipe.schema import Lora, Objective
from yofo_mlx.system.environment import on_cpu

WAYS = ("one by one", "padded", "packed", "one long")
SMALL_IDS = 32  # every vocabulary has these


def main() -> None:
    arguments = _arguments()
    model = load_base(arguments.model).model
    mx.random.seed(0)
    add_adapter(model, Lora(rank=8))
    key = mx.random.key(1)  # a fresh adapter's zeros would hide half of the gradients
    fresh = model.trainable_parameters()
    model.update(tree_map(lambda a: a + 1e-3 * mx.random.normal(a.shape, key=key), fresh))
    model.train()
    rng = np.random.default_rng(arguments.seed)
    lengths = rng.integers(arguments.least, arguments.most + 1, arguments.episodes).tolist()
    episodes = [_episode(rng, length) for length in lengths]
    ways = {way: list(_passes(way, episodes, arguments.row)) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    peaks, results = {}, {}
    for _ in range(arguments.rounds):
        for way, batches in ways.items():
            taken, peaks[way], results[way] = _measured(model, batches)
            seconds[way].append(taken)
    for way, batches in ways.items():
        line = {
            "way": way,
            "passes": len(batches),
            "tokens": sum(batch.token_count for batch in batches),
            "seconds": round(min(seconds[way]), 2),
            "peak_mb": round(peaks[way] / 1e6, 1),
        }
        line["tokens_per_s"] = round(line["tokens"] / min(seconds[way]))
        if way != "one long":
            line["relative"] = f"{_relative(results[way], results[WAYS[0]]):.1e}"
        text = "  ".join(f"{name} {value}" for name, value in line.items())
        print(json.dumps(line) if arguments.json else text, flush=True)


def _episode(rng: np.random.Generator, length: int) -> Episode:
    tokens = rng.integers(0, SMALL_IDS, length).tolist()
    return Episode("benchmark", tokens, [(end - 2, end) for end in range(8, length + 1, 8)])


def _passes(way: str, episodes: list[Episode], row: int) -> Iterator[Batch]:
    lengths = [len(one.tokens) for one in episodes]
    if way == "one by one":
        yield from (make_batch([one], Objective()) for one in episodes)
    elif way == "one long":
        first = next(rows_of(lengths, row))
        rng = np.random.default_rng(0)
        yield make_batch([_episode(rng, sum(lengths[place] for place in first))], Objective())
    else:
        together = rows_of if way == "packed" else alike
        for places in together(lengths, row):
            chosen = [episodes[place] for place in places]
            yield make_batch(chosen, Objective(), packed=way == "packed")


def _measured(model: Any, batches: list[Batch]) -> tuple[float, int, dict[str, mx.array]]:
    """Return seconds, peak bytes above what is there before, and the summed gradients."""
    clock = time.process_time if on_cpu() else time.perf_counter
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    started = clock()
    total: Any = None
    for batch in batches:
        loss, gradients = loss_and_gradients(model, batch)
        total = gradients if total is None else tree_map(mx.add, total, gradients)
        mx.eval(loss, total)
    return clock() - started, mx.get_peak_memory() - before, dict(tree_flatten(total))


def _relative(found: dict[str, mx.array], expected: dict[str, mx.array]) -> float:
    return max(
        (mx.linalg.norm(found[name] - array) / mx.linalg.norm(array)).item()
        for name, array in expected.items()
    )


def _arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny", help="`tiny`, or a model directory")
    parser.add_argument("--episodes", type=int, default=48)
    parser.add_argument("--least", type=int, default=64, help="tokens of the shortest episode")
    parser.add_argument("--most", type=int, default=256, help="tokens of the longest")
    parser.add_argument("--row", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
