"""Write a recipe that trains on random sets of CLINC150's intents, none of them about banking.

    python experiments/clinc150_recipe.py ../shared/data/clinc150 > out/clinc.toml
    yofo train out/clinc.toml

The folder holds data_full.json and domains.json (the ten domains of 15 intents each). Every task is
a set of intents of its own, so that which intents there are is learnt from the context alone.
"""

import argparse
import json
import random
from pathlib import Path

LEFT_OUT = {"banking", "credit_cards"}  # the domains of Banking77
HEAD = """model = {model}

[lora]
rank = 8
scale = 4.0

[template]
style = "plain"

[episodes]
max_tokens = 2048

[optimizer]
learning_rate = 3e-4
schedule = "cosine"

[train]
tokens = {tokens}
eval_every = 1000
checkpoint_every = 10
"""
TASK = """
[[tasks]]
name = {name}
source = {source}
records = "{{split}}"
where = {{ 1 = {labels} }}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="out/smollm2")
    parser.add_argument("--tokens", type=int, default=60_000)
    parser.add_argument("--tasks", type=int, default=32)
    options = parser.parse_args()
    domains = json.loads((options.data / "domains.json").read_text())
    intents = [one for name, some in domains.items() if name not in LEFT_OUT for one in some]
    draw = random.Random(0)
    print(HEAD.format(model=json.dumps(str(Path(options.model).absolute())), tokens=options.tokens))
    for number in range(options.tasks):
        labels = draw.sample(intents, draw.randint(8, 80))
        source = json.dumps(str((options.data / "data_full.json").absolute()))
        name = json.dumps(f"intents-{number:02}")
        print(TASK.format(name=name, source=source, labels=json.dumps(labels)))


if __name__ == "__main__":
    main()
