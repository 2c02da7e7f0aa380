"""Evaluations of a run, a file each in `evaluations/`: what was asked, and what it scored.

A file is rewritten as a whole after every task, so that an evaluation that was cut off goes on
where it stopped when the same is asked again. One that is complete is never touched again.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.events import Event, figure, finite
from yofo_mlx.files import disk_error, write_text
from yofo_mlx.limits import notes
from yofo_mlx.runs import Run, slug
from yofo_mlx.scores import Point, Row, Scored, TaskScores, summarize

FORMAT = 1
MODELS = ("base", "adapter")
_NAME = re.compile(r"(\d{4,})-[a-z0-9-]+\.json")

Content = dict[str, Any]


class EvaluationFile:
    """One evaluation, written as it grows."""

    def __init__(self, run: Run, content: Content, path: Path | None = None) -> None:
        self._run, self._content, self._path = run, content, path

    @property
    def path(self) -> Path:
        """The file; there is none before the first task."""
        assert self._path is not None
        return self._path

    @property
    def content(self) -> Content:
        """What the file holds."""
        return self._content

    def has(self, model: str, task: str) -> bool:
        """Tell whether a task was measured with a model (`base`, `adapter`) already."""
        return task in self._content["measured"][model]

    def add(self, model: str, scores: TaskScores) -> None:
        """Keep what a task scored."""
        self._content["measured"][model][scores.task] = asdict(scores)
        self._write()

    def finish(self) -> None:
        """Make the tables; nothing is added afterwards."""
        base, adapter = (list(_scores(self._content, model)) for model in MODELS)
        scored = pairs(base, adapter)
        self._content |= {
            "complete": True,
            "metrics": summarize(scored),
            "tasks": {one.task: one.rows for one in scored},
            "notes": [message for message, _ in notes(adapter, "held-out tasks")],
        }
        self._write()

    def _write(self) -> None:
        if self._path and not self._content["complete"] and _read(self._path).get("complete"):
            return  # the same evaluation, asked twice at a time: the other one was faster
        try:
            if self._path is None:
                self._path = _new_path(self._run, self._content)
            write_text(self._path, json.dumps(finite(self._content), indent=1) + "\n")
        except OSError as error:
            raise disk_error(error, self._run.path) from error


def begin(run: Run, asked: Content, *, full: bool) -> EvaluationFile:
    """Return a new evaluation, or go on with the newest one of the same that was cut off.

    `asked` is all that the figures depend on; `full`: every held-out task, as the recipe has it.
    """
    asked = json.loads(json.dumps(asked))
    for path in _paths(run):
        content = _read(path)
        same = (content.get("asked"), content.get("full")) == (asked, full)
        if same and not content.get("complete") and _is_sound(content):
            return EvaluationFile(run, content, path)
    return EvaluationFile(
        run,
        {
            "format": FORMAT,
            "run_id": run.run_id,
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "full": full,
            "complete": False,
            "asked": asked,
            "measured": {model: {} for model in MODELS},
        },
    )


def _is_sound(content: Content) -> bool:
    """Tell whether what was measured until now can be read, though the file may be damaged."""
    try:
        for model in MODELS:
            for name, facts in content["measured"][model].items():
                if _of_facts(facts).task != name:
                    return False
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return True


def latest(run: Run) -> Content:
    """Return the newest complete evaluation of all held-out tasks, empty if there is none."""
    found = (_read(path) for path in _paths(run))
    return next((one for one in found if one.get("full") and one.get("complete")), {})


@dataclass(frozen=True)
class Score:
    """The means of one metric at the most shots of its curve."""

    metric: str
    shots: int
    base: float | None
    adapter: float | None


@dataclass(frozen=True)
class Kept:
    """An evaluation as a line of a list."""

    number: int
    path: Path
    date: str
    full: bool
    tasks: tuple[str, ...]
    step: int | None  # of the adapter
    complete: bool
    done: int  # tasks measured, each with every model
    scores: tuple[Score, ...]


def listed(run: Run) -> list[Kept]:
    """Return all evaluations that can be read, newest first."""
    found = ((path, _read(path)) for path in _paths(run))
    return [_kept(path, content) for path, content in found if _is_sound(content)]


def _kept(path: Path, content: Content) -> Kept:
    asked, measured = content.get("asked"), content["measured"].values()
    asked = asked if isinstance(asked, dict) else {}
    adapter = asked.get("adapter")
    step = figure(adapter if isinstance(adapter, dict) else None, "step")
    return Kept(
        number=int(path.name.split("-")[0]),
        path=path,
        date=str(content.get("date", "")),
        full=content.get("full") is True,
        tasks=tuple(map(str, asked.get("tasks") or ())),
        step=None if step is None else int(step),
        complete=content.get("complete") is True,
        done=min(map(len, measured)),
        scores=tuple(_top_scores(content)),
    )


def _top_scores(content: Content) -> Iterator[Score]:
    for metric in objects(content.get("metrics")):
        base, adapter = (points(metric.get("by_shots"), model)[-1:] for model in MODELS)
        if found := adapter or base:
            yield Score(
                str(metric.get("metric", "")),
                found[0][0],
                base[0][1] if base else None,
                adapter[0][1] if adapter else None,
            )


def outdated(content: Content, best: Event | None) -> str:
    """Return which step's adapter was measured, such as `step 100`, if a better one came since.

    `best`: the validation that the run's adapter is of now.
    """
    asked = content.get("asked")
    adapter = asked.get("adapter") if isinstance(asked, dict) else None
    step = figure(adapter if isinstance(adapter, dict) else None, "step")
    now = figure(best, "step")
    return "" if step is None or now is None or step == now else f"step {step:.0f}"


def stamp(run: Run) -> tuple[int, int]:
    """Return what changes when an evaluation is added or grows."""
    newest = next(_paths(run), None)
    try:
        found = newest.stat() if newest else None
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


def task_scores(content: Content) -> list[TaskScores]:
    """Return what was asked of each task, with the adapter's scores."""
    return list(_scores(content, "adapter"))


def pairs(base: list[TaskScores], adapter: list[TaskScores]) -> list[Scored]:
    """Put what base and adapter scored on the same queries side by side."""
    return [
        Scored(
            one.task,
            one.family,
            one.metric,
            one.queries,
            [_side_by_side(*points) for points in zip(one.points, two.points, strict=True)],
        )
        for one, two in zip(base, adapter, strict=True)
    ]


def _side_by_side(base: Point, adapter: Point) -> Row:
    return {
        "shots": base.shots,
        "base": base.score,
        "adapter": adapter.score,
        "base_loss": base.loss,
        "adapter_loss": adapter.loss,
    }


def _scores(content: Content, model: str) -> Iterator[TaskScores]:
    for name in content["asked"]["tasks"]:
        yield _of_facts(content["measured"][model][name])


def _of_facts(facts: dict[str, Any]) -> TaskScores:
    points = tuple(
        Point(point["shots"], float(point["score"]), float(point["loss"]))  # also "nan"
        for point in facts["points"]
    )
    return TaskScores(**facts | {"points": points})


def _paths(run: Run) -> Iterator[Path]:
    """Yield the files of evaluations, newest first."""
    try:
        names = [path.name for path in run.evaluations_path.iterdir()]
    except OSError:
        return
    numbered = [(int(found[1]), name) for name in names if (found := _NAME.fullmatch(name))]
    yield from (run.evaluations_path / name for _, name in sorted(numbered, reverse=True))


def _read(path: Path) -> Content:
    try:
        if not path.is_file():  # a pipe would be waited for
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _new_path(run: Run, content: Content) -> Path:
    """Make a file of a name of its own: the next number, and what is measured."""
    run.evaluations_path.mkdir(exist_ok=True)
    tasks = list(content["asked"]["tasks"])
    what = "full" if content["full"] else tasks[0] if len(tasks) == 1 else f"{len(tasks)}-tasks"
    number = max((int(path.name.split("-")[0]) for path in _paths(run)), default=0)
    while True:
        number += 1
        path = run.evaluations_path / f"{number:04d}-{slug(what)}.json"
        if any(run.evaluations_path.glob(f"{number:04d}-*")):
            continue
        try:
            path.open("x").close()
            return path
        except FileExistsError:  # another evaluation was faster
            continue
