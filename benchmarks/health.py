"""Are wrong labels found from the reading of demonstrations alone, and what does that cost?

    python benchmarks/health.py MODEL [--adapter DIR] --data FILE --labels NAME,...
    python benchmarks/health.py tiny --adapter RUN/adapter --tiny

Rows are drawn by label, a tenth of the labels is exchanged for others, and the set is read once.
AUROC is the chance that a wrong row is found more suspicious than a right one, by `suspicion` as it
is shown, by each of its two parts, and by the words alone (the same ridge classifier on TF-IDF),
which needs no model. Of some seeds (--timed) the same tokens are then read plainly: `overhead` is
how much more CPU time reading and all that is said of it took. Each set that is done is kept in the
file (--out): stopped, the script goes on.
"""

import argparse
import json
import random
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import measurements

from yofo_mlx.system import blas

blas.preload()

import numpy as np

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.health import Row, health_of
from yofo_mlx.prompting.label_readings import margins
from yofo_mlx.prompting.left_out import press
from yofo_mlx.prompting.loading import LoadedModel, find_source, load
from yofo_mlx.prompting.prefix import LEAD, Prefix
from yofo_mlx.prompting.selection import Room, choose
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.files import write_text
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.task import Example

FLIPPED = 0.1
Result = dict[str, Any]


def main() -> None:
    options = _options()
    source = find_source(None, options.model, options.adapter)
    loaded = load(source, use_adapter=True)
    kept: dict[str, Result] = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name, rows in _sets(options):
        for seed in range(options.seeds):
            key = f"{options.model} {options.adapter or 'base'} {name} x{options.each} seed {seed}"
            if key not in kept:
                is_timed = seed < options.timed
                kept[key] = measure(loaded, _drawn(rows, options.each, seed), seed, is_timed)
                write_text(options.out, json.dumps(kept, indent=1))
            if not options.json:
                print(key, kept[key], flush=True)
    for group, mean in _means(kept).items():
        measurements.keep(options.table, mean, method=f"health, {group}", model=options.model)
    if options.json:
        print(json.dumps({"sets": kept, "mean": _means(kept)}))


def measure(loaded: LoadedModel, rows: Sequence[Example], seed: int, is_timed: bool) -> Result:
    """Return how well wrong rows are told from right ones, and what reading took."""
    shown, wrong = flipped(rows, seed)
    prefix = _prefix(loaded)
    shown = choose(
        shown,
        seed=seed,
        room=Room(loaded.limit, len(prefix.segmenter.opening)),
        length=lambda one: tokenize(prefix.segmenter, one).alone,
    ).examples
    prefix.choose(shown, "")
    _prefix(loaded).context.read(prefix.tokens[:32])  # weights come into memory when first read
    started = time.process_time()
    prefix.fill()
    read = time.process_time()
    health = health_of(prefix)
    told = list(health.told())
    done = time.process_time()
    if is_timed:
        lead = LEAD if len(prefix.tokens) > 2 * sum(LEAD) else ()  # as `fill` reads them
        _prefix(loaded).context.read(prefix.tokens, lead=lead)
    plain_s = time.process_time() - done
    is_wrong = np.array([Example(row.input, row.answer) in wrong for row in health.rows])
    flagged = [row.place - 1 for row in health.suspicious]
    return {
        "shots": len(shown),
        "tokens": len(prefix.tokens),
        "wrong": int(is_wrong.sum()),
        "auroc": auroc([row.labelled.suspicion for row in health.rows if row.labelled], is_wrong),
        "auroc_readings": auroc(_parts(health.rows, "share", -1.0), is_wrong),
        "auroc_left_out": auroc(_parts(health.rows, "margin", 1.0), is_wrong),
        "auroc_words": auroc(_by_words(health.rows), is_wrong),
        "flagged": len(flagged),
        "flagged_wrong": int(is_wrong[flagged].sum()),
        "told": told[0],
        "read_s": round(read - started, 3),
        "look_s": round(done - read, 3),
        "plain_s": round(plain_s, 3) if is_timed else None,
        "overhead": round((done - started) / plain_s - 1, 4) if is_timed else None,
    }


def flipped(rows: Sequence[Example], seed: int) -> tuple[list[Example], set[Example]]:
    """Return rows of which some have the label of another one, and those."""
    drawn, labels = random.Random(f"flip {seed}"), sorted({row.output for row in rows})
    chosen = set(drawn.sample(range(len(rows)), max(1, round(FLIPPED * len(rows)))))
    found = [
        Example(row.input, drawn.choice([label for label in labels if label != row.output]))
        if at in chosen
        else row
        for at, row in enumerate(rows)
    ]
    return found, {found[at] for at in chosen}


def auroc(scores: Sequence[float], is_wrong: Any) -> float | None:
    """Return the chance that a wrong row has the higher score; a tie counts half."""
    if not scores:
        return None
    values = np.array(scores)
    wrong, right = values[is_wrong][:, None], values[~is_wrong][None]
    return round(float(((wrong > right) + 0.5 * (wrong == right)).mean()), 4)


def _parts(rows: Sequence[Row], name: str, sign: float) -> list[float]:
    values = [getattr(row.labelled, name) for row in rows]
    return [] if None in values else [sign * value for value in values]


def _by_words(rows: Sequence[Row]) -> list[float]:
    """Return margins of the same classifier on TF-IDF of the inputs' words."""
    texts = [re.findall(r"\w+", row.input.lower()) for row in rows]
    words = {word: at for at, word in enumerate(sorted({word for text in texts for word in text}))}
    counts = np.zeros((len(texts), len(words)), dtype=np.float32)
    for at, text in enumerate(texts):
        for word in text:
            counts[at, words[word]] += 1
    weighted = np.log1p(counts) * np.log(len(texts) / (counts > 0).sum(axis=0))
    weighted -= weighted.mean(axis=0)
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True) + 1e-9
    labels = sorted({row.answer for row in rows})
    own = np.array([labels.index(row.answer) for row in rows])
    others = press(weighted, np.eye(len(labels), dtype=np.float32)[own], ridge=1.0)
    return [float(margin) for margin in margins(others, own)]


def _sets(options: argparse.Namespace) -> Iterator[tuple[str, list[Example]]]:
    if options.tiny:
        for entry in load_tasks([TaskSource(source="tiny:held_out")], 0, Path()):
            if entry.task.family == "classification":
                yield f"tiny:{entry.task.name}", list(entry.task.train)
        return
    style = demonstrations.Style(input=options.input, output=options.output)
    rows = list(demonstrations.read(options.data, style).examples)
    wanted = set(options.labels.split(",")) if options.labels else {row.output for row in rows}
    yield options.name, [row for row in rows if row.output in wanted]


def _drawn(rows: Sequence[Example], each: int, seed: int) -> list[Example]:
    drawn, labels = random.Random(f"draw {seed}"), sorted({row.output for row in rows})
    by_label = {label: [row for row in rows if row.output == label] for label in labels}
    return [row for some in by_label.values() for row in drawn.sample(some, min(each, len(some)))]


def _prefix(loaded: LoadedModel) -> Prefix:
    base = loaded.base
    return Prefix(Context(base.model), base.tokenizer, loaded.source.template, loaded.limit)


def _means(kept: dict[str, Result]) -> Result:
    names = ("auroc", "auroc_readings", "auroc_left_out", "auroc_words", "overhead")
    groups: dict[str, list[Result]] = {}
    for key, one in kept.items():
        groups.setdefault(re.sub(r"(-\d+)? x\d+ seed \d+$", "", key), []).append(one)
    return {
        group: {
            name: round(statistics.mean(known), 4)
            for name in names
            if (known := [one[name] for one in some if one[name] is not None])
        }
        for group, some in groups.items()
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--adapter")
    parser.add_argument("--tiny", action="store_true", help="held-out tasks of the tiny suite")
    parser.add_argument("--data", help="a file of rows with a label each")
    parser.add_argument("--input")
    parser.add_argument("--output")
    parser.add_argument("--labels", help="these alone, joined by commas")
    parser.add_argument("--name", default="data", help="what the set is called in the file")
    parser.add_argument("--each", type=int, default=8, help="rows of each label")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--timed", type=int, default=1, help="seeds that are read plainly as well")
    parser.add_argument("--out", type=Path, default=Path("out/health.json"))
    parser.add_argument("--json", action="store_true")
    measurements.add_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
