"""The process that reads data sets for the app: sources in, a line of JSON for each of them out.

What is read may be large, and the app has keys to answer meanwhile. It ends with whoever asked.
"""

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from yofo_mlx.errors import YofoError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system import progress
from yofo_mlx.system.text import clip, reason
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.problems import Problem
from yofo_mlx.tasks.registry import load_tasks, make_task
from yofo_mlx.tasks.sources import LoadedSource, load
from yofo_mlx.tasks.splits import SPLITS
from yofo_mlx.tasks.task import Task

from .sets import DataSet, Finding, unread

SHOWN_EXAMPLES = 3
SHOWN_LABELS = 24
SHOWN_PROBLEMS = 100
LONGEST = 2000  # characters of an example's sides


def main() -> None:
    """Read the sources that standard input names, in order, until it is closed."""
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints is no answer
    os.nice(5)
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_asker, daemon=True).start()
    with progress.listening(_Teller(out)):
        for index, facts in asked["sources"].items():
            sets = read(TaskSource(**facts))
            _write(out, {"index": int(index), "sets": [asdict(one) for one in sets]})


def _end_with_the_asker() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


def _write(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


class _Teller:
    """Hands on how far the reading is."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def tell(self, what: str, done: int, total: int) -> None:
        _write(self._out, {"what": what, "done": done, "total": total})

    def end(self) -> None:
        _write(self._out, {"what": "", "done": 0, "total": 0})


def read(source: TaskSource) -> list[DataSet]:
    """Read a source and sum up every data set in it; what is wrong is told as problems."""
    try:
        if source.source.startswith("tiny:"):
            entries = load_tasks([source], 0, Path.cwd())
            return [_of_task(entry.task, source) for entry in entries]
        return [_of_loaded(loaded) for loaded in load(source, Path.cwd())]
    except YofoError as error:
        return [unread(source, error.message, error.hint)]
    except MemoryError:
        return [unread(source, "too large to read")]
    except Exception as error:  # a defect, or a disk: the other sources are read all the same
        return [unread(source, f"{type(error).__name__}: {reason(error)}")]


def _of_task(task: Task, source: TaskSource) -> DataSet:
    pairs = (*task.train, *task.valid, *task.test)
    answers = Counter(pair.output for pair in pairs) if task.family == "classification" else {}
    return DataSet(
        task.name,
        source.source,
        task.family,
        _counts(task),
        instruction=task.instruction,
        **_labels(answers),
        examples=[(pair.input, pair.output) for pair in pairs[:SHOWN_EXAMPLES]],
    )


def _of_loaded(loaded: LoadedSource) -> DataSet:
    problems = check(loaded)
    errors = sum(problem.severity == "error" for problem in problems)
    task, notes = make_task(loaded, 0)
    columns = loaded.columns
    items = loaded.all_items()
    labelled = loaded.family in LABELLED
    answers = Counter(answer for item in items for answer in item.answers) if labelled else {}
    first = (item.example for item in loaded.all_items())
    return DataSet(
        loaded.name,
        loaded.source.source,
        loaded.family,
        _counts(task),
        columns=f"{columns.input} → {columns.output}" if columns else "",
        instruction=loaded.instruction,
        **_labels(answers),
        examples=[
            (clip(pair.input, LONGEST), clip(pair.output, LONGEST))
            for pair, _ in zip(first, range(SHOWN_EXAMPLES), strict=False)
        ],
        problems=_findings(problems),
        errors=errors,
        warnings=len(problems) - errors,
        notes=[note.removeprefix(f"{loaded.name}: ") for note in notes],
    )


def _counts(task: Task) -> tuple[int, int, int]:
    train, valid, test = (len(getattr(task, split)) for split in SPLITS)
    return train, valid, test


def _labels(answers: "Counter[str] | dict[str, int]") -> dict[str, Any]:
    most = Counter(answers).most_common(SHOWN_LABELS)
    return {"labels": [(clip(label, 200), n) for label, n in most], "label_count": len(answers)}


def _findings(problems: Iterable[Problem]) -> list[Finding]:
    first = sorted(problems, key=lambda problem: problem.severity != "error")[:SHOWN_PROBLEMS]
    return [
        Finding(str(one.place), one.message, one.hint, one.severity == "error") for one in first
    ]


if __name__ == "__main__":
    main()
