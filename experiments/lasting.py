"""Demonstrations that last, against fewer or more shots at the same cost of a query.

    python experiments/lasting.py --model tiny --tasks tiny:held_out
    python experiments/lasting.py --model out/smollm2 --tasks ../shared/data/banking77/train.csv

A line for each task, way and number of shots: exact answers and the loss of the expected ones, and
the seconds that the refining took.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from yofo_mlx.system import blas

blas.preload()

import numpy as np

from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.loading import find_source, load
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.refining import refine
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.prompting.selection import balanced
from yofo_mlx.recipe.schema import TaskSource, Template
from yofo_mlx.tasks.registry import load_tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--adapter")
    parser.add_argument("--tasks", default="tiny:held_out")
    parser.add_argument("--only", type=int, default=12, help="tasks, spread over all")
    parser.add_argument("--shots", type=int, nargs="*", default=[4, 8, 16, 32])
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rates", type=float, nargs="*", default=[1e-3, 3e-3, 1e-2])
    parser.add_argument("--output", default=None)
    parser.add_argument("--input", default=None)
    options = parser.parse_args()
    base = load(find_source(None, options.model, options.adapter), use_adapter=True).base
    template = Template(style="plain", input="{input} ->", output=" {output}\n")
    if options.model != "tiny":
        template = Template()
    source = TaskSource(source=options.tasks, input=options.input, output=options.output)
    entries = load_tasks((source,), 0, Path.cwd(), "")
    entries = entries[:: max(1, len(entries) // options.only)][: options.only]
    found: dict[tuple[str, int], list[Any]] = {}
    for entry in entries:
        task = entry.task
        rows = balanced(task.train, 0)
        asked = balanced(task.test or task.valid, 1)[: options.queries]
        for shots in options.shots:
            for rate in (0.0, *options.rates):
                prefix = Prefix(Context(base.model), base.tokenizer, template, base.context)
                prefix.choose(rows[:shots], task.instruction)
                if len(prefix.demonstrations) < shots:
                    continue
                prefix.fill()
                started = time.perf_counter()
                if rate:
                    refine(prefix, steps=options.steps, learning_rate=rate)
                seconds = time.perf_counter() - started
                pairs = [
                    (prefix.segmenter.question(q.input), prefix.segmenter.answer(q.output))
                    for q in asked
                ]
                read = read_answers(prefix.context, pairs, at_once=16)
                right = np.mean(
                    [one.likeliest == answer for one, (_, answer) in zip(read, pairs, strict=True)]
                )
                loss = np.mean([one.losses.mean() for one in read])
                found.setdefault((str(rate), shots), []).append((right, loss, seconds))
                print(
                    json.dumps(
                        {
                            "task": task.name,
                            "shots": shots,
                            "rate": rate,
                            "right": float(right),
                            "loss": float(loss),
                            "seconds": round(seconds, 2),
                        }
                    ),
                    file=sys.stderr,
                )
    print("| shots | rate | right | loss | seconds |\n|--:|--:|--:|--:|--:|")
    for (rate, shots), rows in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
        right, loss, seconds = np.mean(rows, axis=0)
        print(f"| {shots} | {rate} | {100 * right:.1f} % | {loss:.3f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
