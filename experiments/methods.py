"""The table of docs/methods.md on a real model: what a method adds to many-shot tuning, or takes.

    python experiments/methods.py docs/evidence/methods

Each folder there is a study of one arm (docs/evidence/methods.toml), `plain` what the others are
compared with: the same queries behind the same demonstrations. In percent, and nats a token.
"""

import argparse
from pathlib import Path

import numpy as np

from yofo_mlx.study.results import Result, StudyFolder
from yofo_mlx.study.statistics import Bootstrap, Table

TASKS = ("unseen-banking", "unseen-travel", "unseen-talk", "bank-20")
SHOTS = (0, 32)
BASE = Path(__file__).parents[1] / "docs" / "evidence" / "smollm2"


def by_seed(folder: Path, arm: str = "many-all") -> dict[int, Result]:
    """Return the results of a study that hold all that the table asks for."""
    found = StudyFolder(folder).results().values()
    return {one.seed: one for one in found if one.arm == arm and _is_whole(one)}


def _is_whole(one: Result) -> bool:
    return all(shots in one.cells.get(task, {}) for task in TASKS for shots in SHOTS)


def scores(results: list[Result], shots: int) -> dict[str, Table]:
    """Return for each task a table (seeds, queries) of what was right."""
    return {
        task: np.array(
            [[cell[0] for _, cell in sorted(one.cells[task][shots].items())] for one in results]
        )
        for task in TASKS
    }


def line(name: str, results: dict[int, Result], plain: dict[int, Result]) -> str:
    """Return a row: accuracy, its difference to `plain` on the seeds that both have, forgetting."""
    draws, every = Bootstrap(), list(results.values())
    cells = [f"{100 * draws.estimate(scores(every, shots)).mean:.1f}" for shots in SHOTS]
    shared = sorted(results.keys() & plain.keys())
    both = [scores([of[seed] for seed in shared], SHOTS[-1]) for of in (results, plain)]
    difference = draws.estimate({task: both[0][task] - both[1][task] for task in TASKS})
    worth = [100 * value for value in (difference.mean, difference.low, difference.high)]
    told = "" if results is plain else "{:+.1f} ({:+.1f} to {:+.1f})".format(*worth)
    base = by_seed(BASE, "base")
    lost = [
        one.forgetting.loss - before.forgetting.loss
        for one in every
        if one.forgetting and (before := base[min(base)]).forgetting
    ]
    forgot = f"{np.mean(lost):.2f}" if lost else ""
    return f"| {name} | {' | '.join(cells)} | {told} | {forgot} | {len(every)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    plain = by_seed(folder / "plain")
    print("| trained | 0 shots | 32 shots | than plain | forgets | seeds |")
    print("|---|--:|--:|--:|--:|--:|")
    for path in sorted(folder.iterdir(), key=lambda path: (path.name != "plain", path.name)):
        if results := by_seed(path):
            print(line(path.name, plain if path.name == "plain" else results, plain))


if __name__ == "__main__":
    main()
