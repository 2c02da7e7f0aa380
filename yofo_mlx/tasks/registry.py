"""From the `[[tasks]]` tables of a recipe to tasks ready for use."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.recipe.family import Family
from yofo_mlx.recipe.names import GENERATED, SUITE
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.recipe.section import OwnLabelRange
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import clip, shorten
from yofo_mlx.tasks.checks import check_names
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.label_groups import labels_of
from yofo_mlx.tasks.problems import Place, Problem, errors
from yofo_mlx.tasks.sources import LoadedSource, load
from yofo_mlx.tasks.spelling import text_key
from yofo_mlx.tasks.splits import SPLITS
from yofo_mlx.tasks.suite.tasks import HELD_OUT
from yofo_mlx.tasks.synthetic import names as synthetic
from yofo_mlx.tasks.task import Example, Task

METRICS: dict[Family, str] = {
    "classification": "exact",
    "nli": "exact",
    "math": "number",
    "multilabel": "f1",
    "qa": "f1",
    "summarization": "rouge",
    "extraction": "fields",
    "other": "exact",
}

_MOST_LABELS = 1000
_MOST_KINDS = 4


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
    queries: int | None = None
    """How many are asked; None: as many as of any task."""
    guessed: bool = False
    """The family is not the recipe's, but guessed from the answers."""
    label_subset: OwnLabelRange | None = None
    """How many labels an episode shows, where the recipe says so of this task."""


def load_tasks(
    sources: Sequence[TaskSource],
    seed: int,
    base: Path,
    recipe: str = "RECIPE.toml",
    *,
    whole: bool = True,
) -> list[TaskEntry]:
    """Read every source; all problems of all of them are raised as one DataError.

    `recipe` is what messages tell to check. Unless `whole`, a task may have queries only.
    """
    entries: list[TaskEntry] = []
    problems: list[Problem] = []
    for source in sources:
        if is_embedded(source):
            entries += _tiny(source, seed)
            continue
        for loaded in load(source, base):
            wrong = errors(loaded.problems)
            task, notes = (None, ()) if wrong else make_task(loaded, seed)
            if whole and task and not task.train:
                hint = "see `where`" if source.where else "see `splits`"
                what = "no examples to train on"
                if source.role == "held_out":
                    what = "no rows of `train`, which demonstrations are of"
                wrong = [Problem(Place(source.source), what, hint)]
            problems += wrong
            if task and not wrong:
                entries.append(_entry(task, loaded.source, notes))
    problems += check_names([entry.task.name for entry in entries])
    if problems:
        raise _report(problems, recipe)
    return entries


def with_queries(entries: Sequence[TaskEntry], count: int) -> list[TaskEntry]:
    """Draw tasks with queries of their own, the same ones every time."""
    usable = [one for one in entries if one.task.valid or one.task.test]
    return usable if len(usable) <= count else random.Random(0).sample(usable, count)


def is_embedded(source: TaskSource) -> bool:
    """Tell whether a source is of the embedded suite."""
    return source.source.startswith(SUITE)


def is_apart(source: str) -> bool:
    """Tell whether a source is made to be held out: it shares no words with what is trained on."""
    generated = synthetic.is_generated(source) and source.removeprefix(GENERATED)
    return source == f"{SUITE}held_out" or bool(generated and generated.startswith(HELD_OUT))


def load_sets(source: TaskSource, base: Path) -> list[LoadedSource]:
    """Read a source's data sets, or those of the embedded suite, which are in no file."""
    if not is_embedded(source):
        return load(source, base)
    return [
        LoadedSource(
            source,
            entry.task.name,
            items={
                split: [
                    Item(example, Place(source.source), (example.output,))
                    for example in getattr(entry.task, split)
                ]
                for split in SPLITS
            },
            instruction=entry.task.instruction,
            family=entry.task.family,
        )
        for entry in load_tasks([source], 0, base)
    ]


def _tiny(source: TaskSource, seed: int) -> list[TaskEntry]:
    from yofo_mlx.tasks.suite import tasks as suite

    if source.where:
        raise DataError(f"{source.source} has no columns for `where`", "leave `where` out")
    if source.groups:
        raise DataError(f"{source.source} is not parted by `groups`", "leave `groups` out")
    tasks = suite.find(source.source.removeprefix(SUITE))
    if not tasks:
        hint = (
            "the embedded suite has tiny:train, tiny:held_out, and tasks such as tiny:new-topic-01"
        )
        raise DataError(f"unknown source {shorten(source.source)}", hint)
    return [_entry(replace(task, train=_used(task, source, seed)), source) for task in tasks]


def _used(task: Task, source: TaskSource, seed: int) -> tuple[Example, ...]:
    """Return the training rows of an embedded task that a recipe uses."""
    draw = random.Random(f"{seed}/{task.name}")
    rows = _limited([*task.train], source.limit, draw)
    return tuple(share_of(rows, source.rows, f"{seed}/{task.name}"))


def _entry(task: Task, source: TaskSource, notes: tuple[str, ...] = ()) -> TaskEntry:
    metric = metric_of(source, task.family)
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
        queries=source.queries,
        guessed=source.family is None and not is_embedded(source),
        label_subset=source.label_subset,
    )


def metric_of(source: TaskSource, family: Family) -> str:
    """Return the metric of a task: its own, or else its family's."""
    return METRICS[family] if source.metric == "auto" else source.metric


def make_task(loaded: LoadedSource, seed: int) -> tuple[Task, tuple[str, ...]]:
    """Return the task that was read, and notes on what was left out or set aside."""
    source = loaded.source
    items = [once(loaded.items.get(split, [])) for split in SPLITS]
    train, valid, test = ([item.example for item in of_split] for of_split in items)
    references = {one.example: one.references for one in chain(*items) if one.references}
    repeated = sum(1 for _ in loaded.all_items()) - len(train) - len(valid) - len(test)
    shown = {text_key(example.input) for example in valid + test}
    clean = [example for example in train if text_key(example.input) not in shown]
    draw = random.Random(f"{seed}/{loaded.name}")
    kept = _as_shares(_limited(clean, source.limit, draw))
    if not valid and not (source.role == "held_out" and test):
        kept, valid = set_aside(kept, source.valid_share, draw)
    kept = share_of(kept, source.rows, f"{seed}/{loaded.name}")
    generated = synthetic.only(source.source)
    task = Task(
        name=loaded.name,
        family=loaded.family,
        train=tuple(kept),
        valid=tuple(valid),
        test=tuple(test),
        instruction=loaded.instruction,
        labels=labels_of(source) or source.labels or _labels(loaded),
        references=references,
        kind=generated.group if generated else "",
    )
    return task, tuple(_notes(loaded, repeated, len(train) - len(clean)))


def _as_shares(examples: list[Example]) -> list[Example]:
    """Return examples whose doubts are shares of the largest."""
    largest = max((one.doubt for one in examples), default=0.0)
    return [replace(one, doubt=one.doubt / largest) for one in examples] if largest else examples


def _notes(loaded: LoadedSource, repeated: int, leaking: int) -> Iterator[str]:
    if loaded.selection:
        yield f"{loaded.name}: {loaded.selection}"
    if loaded.of_no_group:
        yield f"{loaded.source.source}: {loaded.of_no_group}"
    dropped = Counter(problem.kind for problem in loaded.problems)
    for kind, times in dropped.most_common(_MOST_KINDS):
        yield f"{loaded.name}: {plural(times, 'row')} left out: {kind}"
    if more := dropped.total() - sum(times for _, times in dropped.most_common(_MOST_KINDS)):
        yield f"{loaded.name}: {plural(more, 'more row')} left out for other reasons"
    for remark in loaded.remarks:
        yield f"{loaded.name}: {remark.message}"
    if repeated:
        yield f"{loaded.name}: {repeated:,} repeated rows used once"
    if leaking:
        yield f"{loaded.name}: {leaking:,} train rows left out, their inputs are in valid or test"


def _limited(examples: list[Example], limit: int | None, draw: random.Random) -> list[Example]:
    if limit is None or limit >= len(examples):
        return examples
    return [examples[index] for index in sorted(draw.sample(range(len(examples)), limit))]


def share_of(examples: list[Example], share: float, key: str) -> list[Example]:
    """Return the examples of a share of the inputs, in their order, the same ones for a key.

    A smaller share is part of a larger one.
    """
    if share == 1:
        return examples
    inputs = list(dict.fromkeys(text_key(example.input) for example in examples))
    random.Random(f"{key}/rows").shuffle(inputs)
    used = {*inputs[: max(1, round(share * len(inputs)))]}
    return [example for example in examples if text_key(example.input) in used]


def once(items: Iterable[Item]) -> list[Item]:
    """Return what holds an example, each example once, the first of its kind kept."""
    first: dict[tuple[str, str], Item] = {}
    for item in items:
        example = item.example
        first.setdefault((text_key(example.input), text_key(example.output)), item)
    return list(first.values())


def set_aside(
    examples: list[Example], share: float, draw: random.Random
) -> tuple[list[Example], list[Example]]:
    """Part examples in two; rows with the same input stay together."""
    keys = [text_key(example.input) for example in examples]
    inputs = list(dict.fromkeys(keys))
    if not share or len(inputs) < 2:
        return examples, []
    count = min(max(1, round(share * len(inputs))), len(inputs) - 1)
    aside = set(draw.sample(inputs, count))
    pairs = list(zip(keys, examples, strict=True))
    kept = [example for key, example in pairs if key not in aside]
    return kept, [example for key, example in pairs if key in aside]


def _labels(loaded: LoadedSource) -> tuple[str, ...]:
    """Return the labels of the data, in the order of their names' numbers or by name."""
    if loaded.family not in LABELLED:
        return ()
    found = set(loaded.label_counts())
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
    for example, more in task.references.items():
        for part in (f"references {len(more)}", example.input, example.output, *more):
            _feed(digest, part)
    for example in task.train:
        if example.rejected or example.doubt or example.teacher:
            beside = str((example.rejected, example.doubt, example.teacher))
            for part in (example.input, example.output, beside):
                _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: "hashlib._Hash", text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(f"{len(data)}:".encode())  # lengths keep "ab", "c" apart from "a", "bc"
    digest.update(data)


def _report(problems: list[Problem], recipe: str) -> DataError:
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    hint = f"{first.hint}; all of them: yofo data check" if first.hint else "see: yofo data check"
    return DataError(f"{first}{more}", f"{hint} {clip(recipe, 500)}")
