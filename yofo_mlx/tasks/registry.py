"""From the `[[tasks]]` tables of a recipe to tasks ready for use."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.recipe import TaskSource
from yofo_mlx.tasks.checks import find_errors
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.problems import Place, Problem
from yofo_mlx.tasks.sources import Loaded, load
from yofo_mlx.tasks.splits import SPLITS
from yofo_mlx.tasks.task import Example, Family, Task
from yofo_mlx.text import clip

METRICS: dict[Family, str] = {
    "classification": "exact",
    "nli": "exact",
    "math": "number",
    "multilabel": "f1",
    "qa": "f1",
    "summarization": "rouge",
    "other": "exact",
}

_MOST_LABELS = 1000


@dataclass(frozen=True)
class TaskEntry:
    """A task and what the recipe says about its use."""

    task: Task
    role: str
    metric: str
    answer_after: str | None
    weight: float
    fingerprint: str
    separator: str | None = None
    """What joins the labels of a multi-label answer."""
    notes: tuple[str, ...] = ()
    """What was left out or set aside on import."""


def load_tasks(sources: Sequence[TaskSource], seed: int, base: Path) -> list[TaskEntry]:
    """Read every source; all problems of all of them are raised as one DataError."""
    entries: list[TaskEntry] = []
    problems: list[tuple[TaskSource, Problem]] = []
    for source in sources:
        if source.source.startswith("tiny:"):
            entries += _tiny(source)
            continue
        for loaded in load(source, base):
            wrong = find_errors(loaded)
            task, notes = (None, ()) if wrong else _task(loaded, seed)
            if task and not task.train:
                wrong = [Problem(Place(source.source), "no examples to train on", "see `splits`")]
            problems += [(source, problem) for problem in wrong]
            if task and not wrong:
                entries.append(_entry(task, source, notes))
    problems += _same_names(entries, sources)
    if problems:
        raise _report(problems)
    return entries


def _tiny(source: TaskSource) -> list[TaskEntry]:
    from yofo_mlx.tiny import suite

    if source.source == "tiny:train":
        tasks = suite.tasks("train", seed=0)
    elif source.source == "tiny:held_out":
        tasks = suite.tasks("held_out", seed=0)
    else:
        hint = "the embedded suite has tiny:train and tiny:held_out"
        raise DataError(f"unknown source {source.source}", hint)
    return [_entry(task, source) for task in tasks]


def _entry(task: Task, source: TaskSource, notes: tuple[str, ...] = ()) -> TaskEntry:
    metric = METRICS[task.family] if source.metric == "auto" else source.metric
    mark = fingerprint(task)
    separator = source.separator if task.family == "multilabel" else None
    return TaskEntry(
        task,
        source.role,
        metric,
        source.answer_after,
        source.weight,
        mark,
        separator,
        notes,
    )


def _task(loaded: Loaded, seed: int) -> tuple[Task, tuple[str, ...]]:
    source = loaded.source
    train, valid, test = (_once(loaded.items.get(split, [])) for split in SPLITS)
    shown = {example.input for example in valid + test}
    clean = [example for example in train if example.input not in shown]
    draw = random.Random(f"{seed}/{loaded.name}")
    kept = _limited(clean, source.limit, draw)
    if not valid and not (source.role == "held_out" and test):
        kept, valid = _set_aside(kept, source.valid_share, draw)
    task = Task(
        name=loaded.name,
        family=source.family,
        train=tuple(kept),
        valid=tuple(valid),
        test=tuple(test),
        instruction=source.instruction or _common_system(loaded.all_items()),
        labels=source.labels or _labels(loaded),
    )
    return task, tuple(_notes(loaded, len(train) - len(clean)))


def _notes(loaded: Loaded, leaking: int) -> Iterator[str]:
    items = sum(1 for _ in loaded.all_items())
    unique = sum(len(_once(of_split)) for of_split in loaded.items.values())
    if loaded.problems:
        yield f"{loaded.name}: {len(loaded.problems):,} rows dropped that could not be read"
    if items > unique:
        yield f"{loaded.name}: {items - unique:,} repeated rows used once"
    if leaking:
        yield f"{loaded.name}: {leaking:,} train rows left out, their inputs are in valid or test"


def _limited(examples: list[Example], limit: int | None, draw: random.Random) -> list[Example]:
    if limit is None or limit >= len(examples):
        return examples
    return [examples[index] for index in sorted(draw.sample(range(len(examples)), limit))]


def _once(items: Iterable[Item]) -> list[Example]:
    """Return the examples, each once, the first of its kind kept."""
    return list(dict.fromkeys(item.example for item in items))


def _set_aside(
    examples: list[Example], share: float, draw: random.Random
) -> tuple[list[Example], list[Example]]:
    """Part examples in two; rows with the same input stay together."""
    inputs = list(dict.fromkeys(example.input for example in examples))
    if not share or len(inputs) < 2:
        return examples, []
    count = min(max(1, round(share * len(inputs))), len(inputs) - 1)
    aside = set(draw.sample(inputs, count))
    kept = [example for example in examples if example.input not in aside]
    return kept, [example for example in examples if example.input in aside]


def _common_system(items: Iterable[Item]) -> str:
    """Return the system text that all conversations share."""
    systems = {item.system for item in items}
    return systems.pop() if len(systems) == 1 else ""


def _labels(loaded: Loaded) -> tuple[str, ...]:
    """Return the labels of the data, in the order of their names' numbers or by name."""
    if loaded.source.family not in ("classification", "multilabel", "nli"):
        return ()
    found = {answer for item in loaded.all_items() for answer in item.answers}
    columns = loaded.columns
    names = columns.class_names.get(columns.output, ()) if columns else ()
    if found <= set(names):
        return names
    return tuple(sorted(found)) if len(found) <= _MOST_LABELS else ()


def fingerprint(task: Task) -> str:
    """Return a hash over everything a task holds."""
    digest = hashlib.sha256()
    for part in (task.name, task.family, task.instruction, *task.labels):
        _feed(digest, part)
    for split, examples in (("train", task.train), ("valid", task.valid), ("test", task.test)):
        _feed(digest, f"{split} {len(examples)}")
        for example in examples:
            _feed(digest, example.input)
            _feed(digest, example.output)
    return digest.hexdigest()


def _feed(digest: "hashlib._Hash", text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(f"{len(data)}:".encode())  # lengths keep "ab", "c" apart from "a", "bc"
    digest.update(data)


def _same_names(
    entries: list[TaskEntry], sources: Sequence[TaskSource]
) -> list[tuple[TaskSource, Problem]]:
    counts = Counter(entry.task.name for entry in entries)
    hint = 'tell them apart: name = "..."'
    return [
        (sources[0], Problem(Place(f"task {name}"), f"{count} tasks have this name", hint))
        for name, count in counts.items()
        if count > 1
    ]


def _report(problems: list[tuple[TaskSource, Problem]]) -> DataError:
    source, first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    hint = f"{first.hint}; all of them: yofo data check" if first.hint else "see: yofo data check"
    target = source.source if not source.input and not source.output else "RECIPE.toml"
    return DataError(f"{first}{more}", f"{hint} {clip(target, 500)}")
