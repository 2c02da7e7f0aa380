"""Who says whether an answer is as good as the expected one, without asking any model."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence

from yofo_mlx.evaluation.metrics import same_words, score
from yofo_mlx.system import child
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example


def accepts(
    judge: str,
    entry: TaskEntry,
    example: Example,
    answer: str,
    command: Sequence[str] = (),
    said: Callable[[str], str] = str,
) -> bool:
    """Tell whether a judge accepts an answer; nothing at all is never one.

    `said`: what an expected answer reads as when a model writes it (`Segmenter.said`).
    """
    if not answer.strip():
        return False
    if judge == "command":
        return _runs_well(command, example, answer)
    right = list(map(said, entry.task.right_answers(example)))
    if judge == "normalised":
        return any(same_words(answer, one) == 1 for one in right)
    if judge == "label" and (between := entry.separator):  # in whatever order
        return sorted(answer.split(between)) == sorted(said(example.output).split(between))
    metric = "number" if judge == "number" else "exact"
    return score(answer, *right, metric=metric, answer_after=entry.answer_after) == 1


def _runs_well(command: Sequence[str], example: Example, answer: str) -> bool:
    """Hand an answer to a program by its standard input; exit status 0 accepts it."""
    given = json.dumps({"input": example.input, "answer": answer, "expected": example.output})
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run(
            child.command("yofo_mlx.rehearsal.limited", *command),
            input=given.encode(),
            cwd=folder,
            env=child.environment() | {"HOME": folder, "TMPDIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    return process.returncode == 0
