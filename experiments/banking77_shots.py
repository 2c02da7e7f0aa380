"""Compare chosen demonstrations with the first ones of a sorted file: accuracy on Banking77.

    python experiments/banking77_shots.py ../shared/data/banking77 --model out/smollm2

The folder holds train.csv, sorted by label, and test.csv. Answers are written freely, as in
`yofo chat`, or with --rank the likeliest label, as in `yofo chat --label`; they have to be the
label exactly. Each one is kept in a file (out/banking77_shots.json unless told) as soon as it is
there: stopped, the script goes on where it was.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from yofo_mlx.system import blas

blas.preload()

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.label_tree import score
from yofo_mlx.prompting.loading import find_source, load
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.selection import Room, choose
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.system.files import write_text
from yofo_mlx.tasks.task import Example

LONGEST_ANSWER = 32  # tokens: more than any label has
Answers = dict[str, dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="out/smollm2")
    parser.add_argument("--adapter", help="a folder; without one, the base model answers")
    parser.add_argument("--rank", action="store_true", help="compare all labels, which is slow")
    parser.add_argument("--shots", type=int, default=100)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("out/banking77_shots.json"))
    options = parser.parse_args()
    rows, test = (
        demonstrations.read(str(options.data / f"{split}.csv")).examples
        for split in ("train", "test")
    )
    source = find_source(None, options.model, options.adapter)
    base = load(source, use_adapter=True).base
    prefix = Prefix(Context(base.model), base.tokenizer, source.template, base.context)

    def drawn(examples: Sequence[Example], count: int) -> Sequence[Example]:
        return choose(
            examples,
            seed=options.seed,
            room=Room(base.context),
            length=lambda example: tokenize(prefix.segmenter, example).alone,
            shots=count,
        ).examples

    asked = drawn(test, options.queries)
    labels = sorted({row.output for row in rows}) if options.rank else []
    shown = {"the first of the file": rows[: options.shots], "chosen": drawn(rows, options.shots)}
    print("| demonstrations | labels among them | tokens | right |\n|---|--:|--:|--:|")
    for name, examples in shown.items():
        prefix.choose(examples, "")
        how = (options.shots, options.seed, options.model, options.adapter, options.rank)
        answers = _answers(prefix, asked, labels, f"{name}, {how}", options.json)
        right = sum(answers[query.input] == query.output for query in asked)
        met = len({example.output for example in prefix.demonstrations})
        print(
            f"| {len(prefix.demonstrations)}, {name} | {met} | {len(prefix.tokens):,}"
            f" | {right} of {len(asked)} |"
        )
    print(versions_and_machine()["versions"], versions_and_machine()["device"])


def _answers(
    prefix: Prefix, asked: Sequence[Example], labels: Sequence[str], key: str, file: Path
) -> dict[str, str]:
    """Return the answer to each query; those that are in the file are not asked again."""
    known: Answers = json.loads(file.read_text()) if file.exists() else {}
    answers = known.setdefault(key, {})
    for number, query in enumerate(asked, start=1):
        if query.input in answers:
            continue
        prefix.fill(lambda done: print(f"read: {done} tokens", file=sys.stderr))
        question = prefix.question(query.input)
        if labels:
            answer = score(prefix.context, prefix.segmenter, question, labels)[0].label
        else:
            limit = LONGEST_ANSWER
            answer = generate(prefix.context, prefix.segmenter, question, max_tokens=limit).text
        answers[query.input] = answer
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(known, indent=1))
        print(f"{number}: {answer!r}, right is {query.output!r}", file=sys.stderr)
    return answers


if __name__ == "__main__":
    main()
