"""Compare chosen demonstrations with the first ones of a sorted file: accuracy on Banking77.

    python experiments/banking77_shots.py ../shared/data/banking77 --model out/smollm2

The folder holds train.csv, sorted by label, and test.csv. Answers are written freely, as in
`yofo chat`, and have to be the label exactly. Each one is kept in a file (out/banking77_shots.json
unless told) as soon as it is there: stopped, the script goes on where it was.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from yofo_mlx import blas

blas.preload()

from yofo_mlx.environment import describe
from yofo_mlx.episodes import tokenize
from yofo_mlx.files import write_text
from yofo_mlx.models import load_base
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.selection import Room, choose
from yofo_mlx.recipe import Template
from yofo_mlx.tasks.task import Example

LONGEST_ANSWER = 32  # tokens: more than any label has
Answers = dict[str, dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="out/smollm2")
    parser.add_argument("--shots", type=int, default=100)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("out/banking77_shots.json"))
    options = parser.parse_args()
    rows, test = (
        demonstrations.read(str(options.data / f"{split}.csv")).examples
        for split in ("train", "test")
    )
    base = load_base(options.model)
    prefix = Prefix(Context(base.model), base.tokenizer, Template(), base.context)

    def drawn(examples: Sequence[Example], count: int) -> Sequence[Example]:
        return choose(
            examples,
            seed=options.seed,
            room=Room(base.context),
            length=lambda example: tokenize(prefix.segmenter, example).alone,
            shots=count,
        ).examples

    asked = drawn(test, options.queries)
    shown = {"the first of the file": rows[: options.shots], "chosen": drawn(rows, options.shots)}
    print("| demonstrations | labels among them | tokens | right |\n|---|--:|--:|--:|")
    for name, examples in shown.items():
        prefix.choose(examples, "")
        answers = _answers(
            prefix,
            asked,
            f"{name}: {options.shots} shots, seed {options.seed}, {options.model}",
            options.json,
        )
        right = sum(answers[query.input] == query.output for query in asked)
        labels = len({example.output for example in prefix.demonstrations})
        print(
            f"| {len(prefix.demonstrations)}, {name} | {labels} | {len(prefix.tokens):,}"
            f" | {right} of {len(asked)} |"
        )
    print(describe()["versions"], describe()["device"])


def _answers(prefix: Prefix, asked: Sequence[Example], key: str, file: Path) -> dict[str, str]:
    """Return the answer to each query; those that are in the file are not asked again."""
    known: Answers = json.loads(file.read_text()) if file.exists() else {}
    answers = known.setdefault(key, {})
    for number, query in enumerate(asked, start=1):
        if query.input in answers:
            continue
        prefix.fill(lambda done: print(f"read: {done} tokens", file=sys.stderr))
        question = prefix.question(query.input)
        found = generate(prefix.context, prefix.segmenter, question, max_tokens=LONGEST_ANSWER)
        answers[query.input] = found.text
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(known, indent=1))
        print(f"{number}: {found.text!r}, right is {query.output!r}", file=sys.stderr)
    return answers


if __name__ == "__main__":
    main()
