"""Measure one adapter of a study; a process of its own, told what to do on standard input.

On standard output is a line of JSON for each sign of life. What is measured is kept task by task.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from yofo_mlx.system import blas

if __name__ == "__main__":
    blas.preload()

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.evaluation.forgetting import text_loss
from yofo_mlx.evaluation.labels import labels_of
from yofo_mlx.evaluation.measure import is_choice_right, measure
from yofo_mlx.evaluation.prompts import Prompts, Query, draw_prompts
from yofo_mlx.evaluation.scores import QueryResult, Results
from yofo_mlx.models.adapter_files import WEIGHTS_FILE
from yofo_mlx.models.adapters import load_adapter
from yofo_mlx.models.base import Base, base_of
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.study.job import Job
from yofo_mlx.study.results import (
    Forgetting,
    MeasuredTask,
    Result,
    read_result,
    write_result,
)
from yofo_mlx.study.texts import fingerprint, read_texts
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.system.files import digest
from yofo_mlx.tasks.registry import TaskEntry, load_tasks

MOST_CHOICES = 24  # queries of a task whose labels are ranked, which takes a reading of each
Tell = Callable[..., None]
"""Called with what is done, how much of it and of how much; raises to stop."""


def run(job: Job, tell: Tell) -> None:
    """Measure what a result lacks."""
    recipe = Recipe.model_validate_json(json.dumps(job.recipe))
    tell("loading")
    entries = _entries(recipe, {*job.tasks, *job.all_tasks, *job.tasks_with_labels})
    base = base_of(recipe)
    path = Path(job.path)
    result = read_result(path) or Result.model_validate(job.result)
    if job.adapter:
        load_adapter(base.model, Path(job.adapter))
        adapter = digest(Path(job.adapter) / WEIGHTS_FILE)
        if result.adapter not in ("", adapter):  # trained anew: other figures
            result = Result.model_validate(job.result)
            job = replace(job, tasks=job.all_tasks, more=job.all_more)
        result.adapter = adapter
    base.model.eval()
    result.machine = versions_and_machine()
    started, before = time.monotonic(), result.measured_seconds

    def keep() -> None:
        result.measured_seconds = round(before + time.monotonic() - started, 1)
        write_result(path, result)

    for number, name in enumerate(job.tasks, 1):
        check = partial(tell, f"task {number} of {len(job.tasks)}", number - 1, len(job.tasks))
        measure_task(base, recipe, entries[name], job.seed, result, check)
        keep()
    if "forgetting" in job.more and recipe.study:
        tell("reading texts")
        texts, most = read_texts(recipe.study), recipe.study.forgetting_tokens
        loss = text_loss(base.model, base.tokenizer, texts, most)
        result.forgetting = Forgetting(fingerprint=fingerprint(texts, most), loss=round(loss, 6))
        keep()
    if "choice" in job.more:
        for name in job.tasks_with_labels:
            if name in result.cells and name not in result.choice:
                check = partial(tell, "choosing among labels")
                choose(base, recipe, entries[name], result, check)
                keep()


def _entries(recipe: Recipe, names: set[str]) -> dict[str, TaskEntry]:
    """Return tasks by name; trained ones are read only where one of them is asked for."""
    found: dict[str, TaskEntry] = {}
    for role in ("held_out", "train"):
        if names - {*found}:
            sources = [one for one in recipe.tasks if one.role == role]
            read = load_tasks(sources, recipe.seed, Path(os.devnull))
            found |= {one.task.name: one for one in read}
    return found


def asked(base: Base, recipe: Recipe, entry: TaskEntry, seed: int) -> tuple[Segmenter, Prompts]:
    """Return what a task is asked: queries that no seed changes, demonstrations that it draws."""
    segmenter = Segmenter(base.tokenizer, recipe.template, entry.task.instruction)
    settings = recipe.evaluation.model_copy(update={"draws": seed + 1})
    prompts = draw_prompts(
        segmenter, entry, settings, max_tokens=recipe.longest_prompt, seed=recipe.seed
    )
    return segmenter, replace(prompts, draws=prompts.draws[seed:])


def key_of(query: Query) -> str:
    """Return what a query is called in a result."""
    return sha256(query.example.input.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def measure_task(
    base: Base,
    recipe: Recipe,
    entry: TaskEntry,
    seed: int,
    result: Result,
    check: Callable[[], None],
) -> None:
    """Ask the queries that have no score yet, at each number of shots."""
    segmenter, prompts = asked(base, recipe, entry, seed)
    name, settings = entry.task.name, recipe.evaluation
    known = result.tasks.get(name)
    if known and known.fingerprint != entry.fingerprint:
        known = None
        result.cells.pop(name, None)
        result.beside.pop(name, None)
        result.choice.pop(name, None)
        result.outside.pop(name, None)
    cells = result.cells.setdefault(name, {})
    keys = [key_of(query) for query in prompts.queries]
    done: dict[str, Results] = {
        f"0/{shots}": [QueryResult(*scores[key]) for key in keys]
        for shots, scores in cells.items()
        if {*keys} <= {*scores}
    }
    for point in measure(base.model, segmenter, entry, prompts, check, None, done):
        found = zip(keys, done[f"0/{point.shots}"], strict=True)
        cells[point.shots] = {key: (round(one.score, 4), round(one.loss, 5)) for key, one in found}
        if point.beside:  # there is none where all was measured before
            more = {figure: round(value, 4) for figure, value in point.beside.items()}
            result.beside.setdefault(name, {})[point.shots] = more
    before, rooms = (known.asked, known.room) if known else ({}, {})
    count = entry.queries or settings.queries
    result.tasks[name] = MeasuredTask(
        fingerprint=entry.fingerprint,
        family=entry.task.family,
        metric=entry.metric,
        labels=len(labels_of(entry.task)),
        asked=before | {shots: max(count, before.get(shots, 0)) for shots in settings.shots},
        room=rooms | dict.fromkeys(settings.shots, recipe.longest_prompt),
        reason=prompts.reason,
    )


def choose(
    base: Base, recipe: Recipe, entry: TaskEntry, result: Result, check: Callable[[], None]
) -> None:
    """Ask without any demonstration: the likeliest of the labels, and a free answer."""
    segmenter, prompts = asked(base, recipe, entry, 0)
    result.choice[entry.task.name], result.outside[entry.task.name] = {}, {}
    if not prompts.queries:
        return
    labels, done = labels_of(entry.task), dict[str, Results]()
    longest = max(len(segmenter.answer(label)) for label in labels)
    prompts = replace(
        prompts, shots=(0,), queries=prompts.queries[:MOST_CHOICES], answer_limit=longest + 1
    )
    all(measure(base.model, segmenter, entry, prompts, check, done=done, labels=labels))
    pairs = list(zip(prompts.queries, done["0/0"], strict=True))
    result.choice[entry.task.name] = {
        key_of(query): float(is_choice_right(one, query.example.output)) for query, one in pairs
    }
    result.outside[entry.task.name] = {
        key_of(query): float((one.answer or "").strip() not in labels) for query, one in pairs
    }


def _write(told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Do the job on standard input."""
    parent = os.getppid()

    def leave(number: int, frame: object) -> None:
        raise Cancelled("asked to stop")

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)

    def tell(what: str, done: int = 0, total: int = 0) -> None:
        if os.getppid() != parent:  # nobody waits for it any more
            raise Cancelled("its study has gone")
        _write([what, done, total])

    try:
        run(Job(**json.loads(sys.stdin.readline())), tell)
    except YofoError as error:
        _write({"message": error.message, "hint": error.hint})
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
