"""Evaluations of a run, a file each in `evaluations/`: what was asked, and what it scored.

A file is rewritten as a whole after every task, so that an evaluation that was cut off goes on
where it stopped when the same is asked again. One that is complete is never touched again.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from yofo_mlx.evaluation.limits import notes
from yofo_mlx.evaluation.scores import Results, TaskScores, summarize
from yofo_mlx.evaluation.stored import facts_of, paired, paired_choices, results_of, scores_of
from yofo_mlx.runs.events import Event, figure, finite
from yofo_mlx.runs.names import slug
from yofo_mlx.system.files import disk_error, read_object, write_text

FORMAT = 1
MODELS = ("base", "adapter")
ROLES = {
    "held_out": "held-out tasks",
    "trained": "tasks it was trained on",
    "data": "the data given",
}
"""What the tasks of an evaluation are, by `role`."""
_NAME = re.compile(r"([0-9]{4,})-.+\.json")

Content = dict[str, Any]


class Keeper(Protocol):
    """What has evaluations: a run, or an adapter or a model from elsewhere."""

    @property
    def run_id(self) -> str:
        """What it is called."""

    @property
    def evaluations_path(self) -> Path:
        """The folder of its evaluations."""


class EvaluationFile:
    """One evaluation, written as it grows."""

    def __init__(self, keeper: Keeper, content: Content, path: Path | None = None) -> None:
        self._keeper, self._content, self._path = keeper, content, path
        self._saved = time.monotonic()
        self._written: dict[tuple[str, str], str] = {}  # JSON by model and task, made once
        self._mark: tuple[int, int] | None = None  # of the file as it was written here

    @property
    def path(self) -> Path:
        """The file; there is none before the first task."""
        assert self._path is not None
        return self._path

    @property
    def is_begun(self) -> bool:
        """Tell whether anything was measured yet."""
        return self._path is not None

    @property
    def content(self) -> Content:
        """What the file holds."""
        return self._content

    def has(self, model: str, task: str) -> bool:
        """Tell whether a task was measured with a model (`base`, `adapter`) already."""
        return task in self._content["measured"][model]

    def part(self, model: str, task: str) -> dict[str, Results]:
        """Return what was measured of a task before it was cut off; `save` keeps what is added."""
        last = self._content.get("part")
        is_its = isinstance(last, dict) and (last.get("model"), last.get("task")) == (model, task)
        done = results_of(last.get("done")) if last and is_its else {}
        self._content["part"] = {"model": model, "task": task, "done": done}
        return done

    def save(self, every_s: float = 0.0) -> None:
        """Keep what was measured of a task, if the last time was so long ago."""
        if self._content.get("part", {}).get("done") and time.monotonic() >= self._saved + every_s:
            self._write()

    def add(self, model: str, scores: TaskScores) -> None:
        """Keep what a task scored."""
        self._content.pop("part", None)
        self._content["measured"][model][scores.task] = facts_of(scores)
        self._written.pop((model, scores.task), None)
        self._write()

    def finish(self, **more: Any) -> None:
        """Make the tables, and keep more with them; nothing is added afterwards."""
        scores = {model: list(_scores(self._content, model)) for model in models(self._content)}
        scored, chosen = paired(scores), paired_choices(scores)
        left_out = notes(task_scores(self._content), ROLES[role(self._content)])
        self._content |= more | {
            "complete": True,
            "metrics": summarize([*scored, *chosen]),
            "tasks": {one.task: one.rows for one in scored},
            "choices": {one.task: one.rows for one in chosen},
            "notes": [*self._content.get("notes", ()), *(message for message, _ in left_out)],
        }
        self._write()

    def _write(self) -> None:
        if not self._content["complete"] and self._is_complete_by_now():
            return  # the same evaluation, asked twice at a time: the other one was faster
        try:
            if self._path is None:
                self._path = _new_path(self._keeper, self._content)
            write_text(self._path, self._text() + "\n")
        except OSError as error:
            folder = self._keeper.evaluations_path
            raise disk_error(error, folder, "the same command") from error
        self._saved, self._mark = time.monotonic(), _mark(self._path)

    def _is_complete_by_now(self) -> bool:
        """Tell whether somebody else has completed the file; it is only read if it is not ours."""
        is_ours = self._path is None or self._mark == _mark(self._path)
        return not is_ours and read_object(self.path).get("complete") is True

    def _text(self) -> str:
        """Return the content as JSON; of many tasks with many queries only what is new is made."""
        for model, tasks in self._content["measured"].items():
            for task, facts in tasks.items():
                if (model, task) not in self._written:
                    self._written[model, task] = json.dumps(finite(facts))
        of_models = (
            f"{json.dumps(model)}: {{"
            + ", ".join(f"{json.dumps(task)}: {self._written[model, task]}" for task in tasks)
            + "}"
            for model, tasks in self._content["measured"].items()
        )
        rest = {name: value for name, value in self._content.items() if name != "measured"}
        return f'{json.dumps(finite(rest))[:-1]}, "measured": {{{", ".join(of_models)}}}}}'


def begin(
    keeper: Keeper,
    asked: Content,
    *,
    full: bool,
    models: Sequence[str] = MODELS,
    **more: Any,
) -> EvaluationFile:
    """Return a new evaluation, or go on with the newest one of the same that was cut off.

    `asked` is all that the figures depend on; `full`: every held-out task, as the recipe has it.
    `more` is kept with it.
    """
    asked = json.loads(json.dumps(asked))
    for path in _paths(keeper):
        content = read_object(path)
        same = (content.get("asked"), content.get("full")) == (asked, full)
        if same and not content.get("complete") and _is_sound(content):
            return EvaluationFile(keeper, content, path)
    return EvaluationFile(
        keeper,
        {
            "format": FORMAT,
            "run_id": keeper.run_id,
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "full": full,
            "complete": False,
            "asked": asked,
            "measured": {model: {} for model in models},
            **more,
        },
    )


def cut_off(keeper: Keeper, content: Content) -> EvaluationFile | None:
    """Return the newest evaluation of tasks of these names that is not complete."""
    for path in _paths(keeper):
        found = read_object(path)
        if found.get("complete") or not _is_sound(found) or role(found) != role(content):
            continue
        if [*found["asked"]["tasks"]] == [*content["asked"]["tasks"]]:
            return EvaluationFile(keeper, found, path)
    return None


def _is_sound(content: Content) -> bool:
    """Tell whether what was measured until now can be read, though the file may be damaged."""
    try:
        tasks = content["asked"]["tasks"]
        if models(content) not in (MODELS, MODELS[:1]) or role(content) not in ROLES:
            return False
        if not isinstance(content.get("part", {}), dict):
            return False
        for model in models(content):
            for name, facts in content["measured"][model].items():
                if scores_of(facts).task != name or name not in tasks:
                    return False
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return True


def latest(keeper: Keeper) -> Content:
    """Return the newest complete evaluation of all held-out tasks, empty if there is none."""
    found = (read_object(path) for path in _paths(keeper))
    return next((one for one in found if one.get("full") and one.get("complete")), {})


@dataclass(frozen=True)
class Means:
    """The means of one metric at the most shots of its curve."""

    metric: str
    shots: int
    base: float | None
    adapter: float | None
    tasks: int


@dataclass(frozen=True)
class Kept:
    """An evaluation as a line of a list."""

    number: int
    path: Path
    date: str
    role: str  # one of `ROLES`
    full: bool
    tasks: tuple[str, ...]
    queries: int | None  # of each task, at most
    seed: int | None
    step: int | None  # of the adapter
    complete: bool
    done: int  # tasks measured, each with every model
    scores: tuple[Means, ...]


def listed(keeper: Keeper) -> list[Kept]:
    """Return all evaluations that can be read, newest first."""
    found = ((path, read_object(path)) for path in _paths(keeper))
    return [_kept(path, content) for path, content in found if _is_sound(content)]


def read(path: Path) -> Content:
    """Return an evaluation's file, empty if it is none."""
    content = read_object(path)
    return content if _is_sound(content) else {}


def _kept(path: Path, content: Content) -> Kept:
    asked, measured = content["asked"], content["measured"].values()
    return Kept(
        number=int(path.name.split("-")[0]),
        path=path,
        date=str(content.get("date", "")),
        role=role(content),
        full=content.get("full") is True,
        tasks=tuple(map(str, asked["tasks"])),
        queries=_queries(content),
        seed=_count(asked, "seed"),
        step=_count(asked.get("adapter"), "step"),
        complete=content.get("complete") is True,
        done=min(map(len, measured), default=0),
        scores=tuple(_score(metric) for metric in objects(content.get("metrics"))),
    )


def _queries(content: Content) -> int | None:
    """Return how many were asked of a task, which may have fewer than it was to be asked."""
    tasks = content["measured"][MODELS[0]].values() if content.get("complete") is True else ()
    counts = [count for task in tasks if (count := _count(task, "queries")) is not None]
    return max(counts, default=_count(content["asked"].get("evaluation"), "queries"))


def _score(metric: Content) -> Means:
    rows = objects(metric.get("by_shots"))
    last = rows[-1] if rows else None
    return Means(
        str(metric.get("metric")),
        _count(last, "shots") or 0,
        figure(last, "base"),
        figure(last, "adapter"),
        _count(metric, "tasks") or 0,
    )


def _count(table: Any, name: str) -> int | None:
    found = figure(table if isinstance(table, dict) else None, name)
    return None if found is None else int(found)


def outdated(content: Content, best: Event | None) -> str:
    """Return which step's adapter was measured, such as `step 100`, if a better one came since.

    `best`: the validation that the run's adapter is of now.
    """
    asked = content.get("asked")
    adapter = asked.get("adapter") if isinstance(asked, dict) else None
    step = figure(adapter if isinstance(adapter, dict) else None, "step")
    now = figure(best, "step")
    return "" if step is None or now is None or step == now else f"step {step:.0f}"


def newest_mark(keeper: Keeper) -> tuple[int, int]:
    """Return what changes when an evaluation is added or grows, be it an older one."""
    marks = [_mark(path) for path in _paths(keeper)]
    return sum(size for size, _ in marks), max((when for _, when in marks), default=0)


def _mark(path: Path | None) -> tuple[int, int]:
    """Return what changes when a file is written."""
    try:
        found = path.stat() if path else None
    except OSError:
        found = None
    return (found.st_size, found.st_mtime_ns) if found else (0, 0)


def objects(value: Any) -> list[Content]:
    """Return the objects in a list of a file that may be damaged."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def points(rows: Any, name: str) -> tuple[tuple[int, float], ...]:
    """Return the figures of that name by shots, fewest first, from such a file."""
    pairs = ((figure(row, "shots"), figure(row, name)) for row in objects(rows))
    return tuple(sorted((int(x), y) for x, y in pairs if x is not None and y is not None))


def models(content: Content) -> tuple[str, ...]:
    """Return what was measured, the base model first."""
    return tuple(content["measured"])


def role(content: Content) -> str:
    """Return what its tasks are, one of `ROLES`."""
    return str(content["asked"].get("role", "held_out"))


def task_scores(content: Content) -> list[TaskScores]:
    """Return what was asked of each task, with the last model's scores."""
    return list(_scores(content, models(content)[-1]))


def _scores(content: Content, model: str) -> Iterator[TaskScores]:
    for name in content["asked"]["tasks"]:
        yield scores_of(content["measured"][model][name])


def _paths(keeper: Keeper) -> Iterator[Path]:
    """Yield the files of evaluations, newest first."""
    try:
        names = [path.name for path in keeper.evaluations_path.iterdir()]
    except OSError:
        return
    numbered = [(int(found[1]), name) for name in names if (found := _NAME.fullmatch(name))]
    yield from (keeper.evaluations_path / name for _, name in sorted(numbered, reverse=True))


def _new_path(keeper: Keeper, content: Content) -> Path:
    """Make a file of a name of its own: the next number, and what is measured."""
    folder = keeper.evaluations_path
    folder.mkdir(exist_ok=True, parents=True)
    tasks = list(content["asked"]["tasks"])
    what = "full" if content["full"] else tasks[0] if len(tasks) == 1 else f"{len(tasks)}-tasks"
    number = max((int(path.name.split("-")[0]) for path in _paths(keeper)), default=0)
    while True:
        number += 1
        path = folder / f"{number:04d}-{slug(what)}.json"
        if any(folder.glob(f"{number:04d}-*")):
            continue
        try:
            path.open("x").close()
            return path
        except FileExistsError:  # another evaluation was faster
            continue
