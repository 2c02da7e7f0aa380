"""Compare ways to choose the demonstrations of a query: accuracy on Banking77 and CLINC150.

    python experiments/choosing.py ../shared/data --model out/smollm2
    python experiments/choosing.py ../shared/data --adapter docs/evidence/adapter
    python experiments/choosing.py --table

Answers are written freely, as in `yofo chat`, and have to be the label exactly. A line for each
is added to a file (docs/evidence/choosing.jsonl unless told), without any text of the data; what is
there is not asked again. Of blocks it is told as well what the right answer costs behind those that
a query sees and behind the anchor alone, and whether it is the likeliest there. Seconds are the
CPU's. `--table` prints what is there.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

from yofo_mlx.system import blas

blas.preload()

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.adaptive import AdaptiveTail
from yofo_mlx.prompting.blocks import Blocks
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.loading import find_source, load
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.retrieval import Similarity, SimilarTail
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.prompting.selection import Room, balanced
from yofo_mlx.tasks.task import Example

LONGEST_ANSWER = 24  # tokens: more than any label has
BULK, TAIL = 80, 16  # shots that are cached, and those of a query
BLOCKS, SIZE = 20, 16  # blocks, of which 30 % have as many shots as a bulk with a tail
SEED = 0


@dataclass(frozen=True)
class Data:
    """A data set: rows to show, rows to ask."""

    name: str
    rows: Sequence[Example]
    asked: Sequence[Example]


@dataclass(frozen=True)
class Prepared:
    """A way to choose, with the demonstrations read that all its queries see."""

    prefix: Prefix
    threshold: float | None = None
    blocks: Blocks | None = None

    def behind(self, query: str) -> Prefix:
        """Return what a query is asked behind."""
        return self.blocks.behind(query) if self.blocks else self.prefix


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--model", default="out/smollm2")
    parser.add_argument("--adapter", help="a folder; without one, the base model answers")
    parser.add_argument("--ways", nargs="*", default=[*WAYS], choices=[*WAYS])
    parser.add_argument("--sets", nargs="*", default=["banking77", "clinc150"])
    parser.add_argument("--queries", type=int, default=48)
    parser.add_argument("--out", type=Path, default=Path("docs/evidence/choosing.jsonl"))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    known = [json.loads(line) for line in options.out.open()] if options.out.exists() else []
    if options.table:
        print("\n".join(table(known)))
        return
    source = find_source(None, options.model, options.adapter)
    base = load(source, use_adapter=True).base
    subject = "adapter" if options.adapter else "base"
    done = {(one["subject"], one["data"], one["way"], one["query"]) for one in known}
    for name in options.sets:
        data = read(options.data, name)
        # Drawn: in their order the first ones have the labels of the first demonstrations.
        numbers = Random(SEED).sample(range(len(data.asked)), options.queries)
        for way in options.ways:
            left = [number for number in numbers if (subject, name, way, number) not in done]
            if not left:
                continue
            prefix = Prefix(Context(base.model), base.tokenizer, source.template, base.context)
            prepared = WAYS[way](prefix, data)
            for number in left:
                facts = {"subject": subject, "data": name, "way": way, "query": number}
                found = ask(prepared, data.asked[number])
                if prepared.blocks:
                    found |= compare(prepared.blocks, data.asked[number])
                with options.out.open("a") as stream:
                    print(json.dumps(facts | found), file=stream)
                print(facts | found, file=sys.stderr)


def read(folder: Path, name: str) -> Data:
    if name == "banking77":
        rows, test = (
            demonstrations.read(str(folder / name / f"{split}.csv")).examples
            for split in ("train", "test")
        )
    else:
        content = json.loads((folder / name / "data_full.json").read_text())
        rows, test = (
            [Example(text, label) for text, label in content[split]] for split in ("train", "test")
        )
    return Data(name, rows, balanced(test, SEED))


def ask(prepared: Prepared, query: Example) -> dict[str, Any]:
    """Answer a query, and return what there is to tell of it."""
    started = time.process_time()
    prefix = prepared.behind(query.input)
    tail = prefix.tail(query.input, LONGEST_ANSWER)
    question = prefix.question(query.input, LONGEST_ANSWER, tail)
    answer = generate(prefix.context, prefix.segmenter, question, max_tokens=LONGEST_ANSWER)
    return {
        "right": answer.text == query.output,
        "has_label": query.output in {one.output for one in (*prefix.demonstrations, *tail)},
        "bulk": len(prefix.demonstrations),
        "tail": len(tail),
        "bulk_tokens": len(prefix.tokens),
        "question_tokens": len(question),
        "threshold": prepared.threshold,
        "seconds": round(time.process_time() - started, 2),
    }


def compare(blocks: Blocks, query: Example) -> dict[str, Any]:
    """Return nats of the right answer behind the blocks of a query, and behind the anchor alone."""
    found: dict[str, Any] = {}
    for name, prefix in (("", blocks.behind(query.input)), ("anchor_", blocks.prefix((0,)))):
        answer = prefix.segmenter.answer(query.output)
        (reading,) = read_answers(prefix.context, [(prefix.question(query.input), answer)])
        found[f"{name}nats"] = round(float(reading.losses.sum()), 3)
        found[f"{name}right"] = reading.likeliest == answer
    return found


def _bulk(prefix: Prefix, data: Data, shots: int) -> Sequence[Example]:
    prefix.choose(balanced(data.rows, SEED)[:shots], "")
    prefix.fill()
    return prefix.demonstrations


def _similar(prefix: Prefix, data: Data, bulk: Sequence[Example] = ()) -> SimilarTail:
    length = cache(lambda example: tokenize(prefix.segmenter, example).alone)
    order = balanced(data.rows, SEED)
    return SimilarTail(Similarity(order), Room(prefix.limit), length, TAIL, frozenset(bulk))


def prepare_balanced(prefix: Prefix, data: Data) -> Prepared:
    _bulk(prefix, data, BULK + TAIL)
    return Prepared(prefix)


def prepare_similar(prefix: Prefix, data: Data) -> Prepared:
    _bulk(prefix, data, 0)
    prefix.tails = _similar(prefix, data)
    return Prepared(prefix)


def prepare_tail(prefix: Prefix, data: Data) -> Prepared:
    bulk = _bulk(prefix, data, BULK)
    prefix.tails = _similar(prefix, data, bulk)
    return Prepared(prefix)


def prepare_adaptive(prefix: Prefix, data: Data) -> Prepared:
    _bulk(prefix, data, 0)
    adaptive = AdaptiveTail(prefix, _similar(prefix, data))
    adaptive.fit(balanced(data.rows, SEED))
    prefix.tails = adaptive
    return Prepared(prefix, adaptive.threshold)


def prepare_blocks(prefix: Prefix, data: Data) -> Prepared:
    blocks = Blocks(prefix.empty, size=SIZE)
    blocks.fill(balanced(data.rows, SEED)[: BLOCKS * SIZE])
    return Prepared(prefix, blocks=blocks)


WAYS: dict[str, Callable[[Prefix, Data], Prepared]] = {
    "similar": prepare_similar,
    "tail": prepare_tail,
    "balanced": prepare_balanced,
    "adaptive": prepare_adaptive,
    "blocks": prepare_blocks,
}


def table(known: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each way, data set and subject, in Markdown."""
    groups = defaultdict(list)
    for one in known:
        groups[one["data"], one["subject"], one["way"]].append(one)
    yield (
        "| data | model | way | right | 95 % interval | its label is shown | shots | tokens cached"
        " | read a query | CPU s a query |"
    )
    yield "|---|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for (data, subject, way), rows in sorted(groups.items()):
        count = len(rows)

        def mean(key: str, rows: list[dict[str, Any]] = rows) -> float:
            return sum(one[key] for one in rows) / len(rows)

        shots = mean("bulk") + mean("tail")
        right = sum(one["right"] for one in rows)
        least, most = (100 * share for share in interval(right, count))
        yield (
            f"| {data} | {subject} | {way} | {right} of {count} | {least:.0f} to {most:.0f} %"
            f" | {sum(one['has_label'] for one in rows)} | {shots:.0f} | {mean('bulk_tokens'):,.0f}"
            f" | {mean('question_tokens'):,.0f} | {mean('seconds'):.1f} |"
        )


def interval(right: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    share, width = right / count, 1.96**2 / count
    middle = share + width / 2
    reach = sqrt(width * share * (1 - share) + (width / 2) ** 2)
    return (middle - reach) / (1 + width), (middle + reach) / (1 + width)


if __name__ == "__main__":
    main()
