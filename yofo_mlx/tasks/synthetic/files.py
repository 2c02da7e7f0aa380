"""The rows of a generated task as the files of its splits would hold them."""

import json
from functools import lru_cache
from random import Random

from yofo_mlx.tasks.synthetic.kinds import KINDS
from yofo_mlx.tasks.synthetic.names import Named
from yofo_mlx.tasks.synthetic.row import SPLIT, Fields

TRAIN, TEST = 192, 32  # rows, where the kind can tell so many apart


@lru_cache(maxsize=64)
def files(task: Named) -> dict[str, bytes]:
    """Return a task's splits as JSON Lines; no input is in both."""
    rows = _rows(task)
    queries = min(TEST, len(rows) // 4)
    parts = {"train": rows[queries : queries + TRAIN], "test": rows[:queries]}
    if rows and SPLIT in rows[0]:
        parts = {name: [row for row in rows if row[SPLIT] == name] for name in parts}
    return {name: "".join(map(_line, of_split)).encode() for name, of_split in parts.items()}


def _rows(task: Named) -> list[Fields]:
    """Draw rows that differ in what is asked; a small table has fewer."""
    random = Random(f"{task.seed} {task.group} {task.number}")
    draw = KINDS[task.kind].make(random, task.role)
    found: dict[tuple[str, ...], Fields] = {}
    for _ in range(4 * (TRAIN + TEST)):
        row = draw()
        found.setdefault(tuple(row[key] for key in row if key != "output"), row)
        if len(found) == TRAIN + TEST:
            break
    return list(found.values())


def _line(row: Fields) -> str:
    return json.dumps({key: value for key, value in row.items() if key != SPLIT}) + "\n"
