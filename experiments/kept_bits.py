"""What rounding kept keys and values costs: the next token's probabilities behind demonstrations.

    python experiments/kept_bits.py ../shared/data/banking77 --model out/smollm2

The folder holds train.csv and test.csv. Demonstrations are read once, written exactly and in 8 and
4 bits, and taken back; behind each, queries are read, and what comes next is compared.
"""

import argparse
import tempfile
import time
from pathlib import Path

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.prompting import cache_file, demonstrations
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.fingerprint import fingerprint
from yofo_mlx.prompting.loading import find_source, load
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.selection import Room, choose
from yofo_mlx.system.environment import versions_and_machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="out/smollm2")
    parser.add_argument("--shots", type=int, default=32)
    parser.add_argument("--queries", type=int, default=20)
    asked = parser.parse_args()
    loaded = load(find_source(None, asked.model, None), use_adapter=False)
    base, source = loaded.base, loaded.source
    prefix = Prefix(Context(base.model), base.tokenizer, source.template, loaded.limit)
    choice = choose(
        demonstrations.read(str(asked.data / "train.csv")).examples,
        seed=0,
        room=Room(loaded.limit),
        length=lambda one: tokenize(prefix.segmenter, one).alone,
        shots=asked.shots,
    )
    prefix.choose(choice.examples, "")
    began = time.perf_counter()
    prefix.fill()
    reading_s = time.perf_counter() - began
    queries = demonstrations.read(str(asked.data / "test.csv")).examples
    step = max(1, len(queries) // asked.queries)
    questions = [prefix.question(one.input) for one in queries[::step][: asked.queries]]
    exact = _after(prefix.context, questions)
    print(f"{len(prefix.tokens)} tokens read in {reading_s:.1f} s; {versions_and_machine()}")
    print("| bits | MB | taken back in s | same next token | nats off at most | on average (KL) |")
    print("|--:|--:|--:|--:|--:|--:|")
    for bits in (None, 8, 4):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kept.safetensors"
            mark = fingerprint(loaded)
            cache_file.write(path, prefix, mark, bits=bits)
            context = Context(base.model)
            began = time.perf_counter()
            cache_file.take(path, cache_file.look(path, mark), context)
            seconds, megabytes = time.perf_counter() - began, path.stat().st_size / 1e6
        print(f"| {bits or 'as they are'} | {megabytes:.1f} | {seconds:.2f} |", end="")
        print(_compared(exact, _after(context, questions)))


def _after(context: Context, questions: list[list[int]]) -> mx.array:
    """Return the log-probabilities (N, V) of what comes after each question."""
    rows = []
    for question in questions:
        with context.aside() as aside:
            logits = aside.logits(mx.array([question]), mx.array([len(question) - 1]))[0]
        rows.append(logits - mx.logsumexp(logits))
        mx.eval(rows[-1])
    return mx.stack(rows)


def _compared(exact: mx.array, other: mx.array) -> str:
    same = int((exact.argmax(-1) == other.argmax(-1)).sum())
    likely = mx.argsort(-exact, axis=-1)[:, :8]
    off = mx.abs(exact - other)
    most = float(mx.take_along_axis(off, likely, axis=-1).max())
    divergence = float((mx.exp(exact) * (exact - other)).sum(-1).mean())
    return f" {same} of {len(exact)} | {most:.3f} | {divergence:.2g} |"


if __name__ == "__main__":
    main()
