"""Does a temperature fitted on demonstrations alone halve the calibration error of queries?

    python experiments/calibration.py ../shared/data [--adapter docs/evidence/adapter]

The folder holds clinc150, banking77 and nli. Each domain of CLINC150 is a task of some intents, and
so is Banking77: those with the first names. Demonstrations are asked as `yofo classify --calibrate`
asks them, then test rows are. What a model thinks of a row is kept as soon as a task is done
(docs/evidence/calibration.json unless told): stopped, the script goes on where it was.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from yofo_mlx.system import blas

blas.preload()

import numpy as np

from yofo_mlx.answering.asking import log_shares
from yofo_mlx.answering.shots import judged_shots
from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.evaluation.calibration import Judged, calibrate, fit_temperature, loss, reliability
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.label_tree import score
from yofo_mlx.prompting.loading import find_source, load
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.selection import Room, choose
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.system.files import write_text
from yofo_mlx.tasks.task import Example

DOMAINS = ("banking", "travel", "talk")  # the kept adapter was trained on others
Rows = list[Example]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="out/smollm2")
    parser.add_argument("--adapter", help="a folder; without one, the base model is asked")
    parser.add_argument("--labels", type=int, default=6)
    parser.add_argument("--shots", type=int, default=48)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a part of the names of the tasks that are asked")
    parser.add_argument("--json", type=Path, default=Path("docs/evidence/calibration.json"))
    options = parser.parse_args()
    source = find_source(None, options.model, options.adapter)
    base = load(source, use_adapter=True).base
    prefix = Prefix(Context(base.model), base.tokenizer, source.template, base.context)
    known = json.loads(options.json.read_text("utf-8")) if options.json.exists() else {}
    pooled: dict[str, list[Judged]] = {"before": [], "after": [], "always": []}
    print("| task | labels | right | T | ECE | at T | by the rule | loss | by the rule |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, (train, test) in tasks(options.data, options.labels).items():
        how = (options.labels, options.shots, options.queries, options.seed, options.adapter)
        key = f"{name}, {how}"
        if options.only and options.only not in name:
            continue
        if key not in known:
            known[key] = ask(prefix, train, test, options.shots, options.queries, options.seed)
            options.json.parent.mkdir(exist_ok=True)
            write_text(options.json, json.dumps(known))
        shown, asked = (
            [(np.array(logprobs), right) for logprobs, right in known[key][part]]
            for part in ("shown", "asked")
        )
        fitted, always = calibrate(shown), fit_temperature(shown)
        before = reliability(asked)
        labels = len(asked[0][0])
        print(
            f"| {name} | {labels} | {sum(before.right)} of {len(asked)} | {always:.2f}"
            f" | {100 * before.error:.1f} | {100 * reliability(asked, always).error:.1f}"
            f" | {100 * reliability(asked, fitted.temperature).error:.1f}"
            f" | {loss(asked):.2f} | {loss(asked, fitted.temperature):.2f} |",
            flush=True,
        )
        pooled["before"] += asked
        pooled["always"] += [(logits / always, right) for logits, right in asked]
        pooled["after"] += [(logits / fitted.temperature, right) for logits, right in asked]
    errors = {part: 100 * reliability(judged).error for part, judged in pooled.items()}
    print(", ".join(f"all, {part}: {error:.1f} percent" for part, error in errors.items()))
    print(versions_and_machine()["versions"], versions_and_machine()["device"])


def tasks(data: Path, count: int) -> dict[str, tuple[Rows, Rows]]:
    """Return demonstrations to choose from and test rows of each task."""
    whole = json.loads((data / "clinc150" / "data_full.json").read_text("utf-8"))
    domains = json.loads((data / "clinc150" / "domains.json").read_text("utf-8"))
    found = {}
    for domain in DOMAINS:
        intents = sorted(domains[domain])[:count]
        found[f"CLINC150 {domain}"] = tuple(
            [Example(text, label) for text, label in whole[split] if label in intents]
            for split in ("train", "test")
        )
    rows = [
        demonstrations.read(str(data / "banking77" / f"{split}.csv")).examples
        for split in ("train", "test")
    ]
    intents = sorted({one.output for one in rows[0]})[:count]
    found["Banking77"] = tuple([one for one in some if one.output in intents] for some in rows)
    found["MultiNLI"] = tuple(
        [
            Example(f"{row['input_1']}\n{row['input_2']}", row["output"])
            for row in json.loads((data / "nli" / f"{name}.json").read_text("utf-8"))
            if row["output"] != "-"  # those who were asked did not agree
        ]
        for name in ("multinli_train_2000", "multinli_test_500")
    )
    return found


def ask(
    prefix: Prefix, train: Rows, test: Rows, shots: int, queries: int, seed: int
) -> dict[str, list[tuple[list[float], int]]]:
    """Return what the model thinks of demonstrations and of queries."""

    def drawn(examples: Rows, count: int) -> Sequence[Example]:
        return choose(
            examples,
            seed=seed,
            room=Room(2048),
            length=lambda example: tokenize(prefix.segmenter, example).alone,
            shots=count,
        ).examples

    prefix.choose(drawn(train, shots), "")
    prefix.fill()
    labels = sorted({example.output for example in train})

    def judged() -> Iterator[Judged]:
        for example in drawn(test, queries):
            question = prefix.question(example.input)
            scores = score(prefix.context, prefix.segmenter, question, labels)
            yield log_shares(scores, example.output)

    return {
        "shown": [(logits.tolist(), right) for logits, right in judged_shots(prefix, labels)],
        "asked": [(logits.tolist(), right) for logits, right in judged()],
    }


if __name__ == "__main__":
    main()
