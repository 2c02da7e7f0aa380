"""What there is to know about data sets: read from disk (or the hub, when asked), kept small."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tui.recipes import find_recipes
from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.recipe import TaskSource
from yofo_mlx.recipe_file import load_recipe
from yofo_mlx.tasks import locate
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.problems import Place, Problem
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.sources import Loaded, load
from yofo_mlx.tasks.splits import SPLITS
from yofo_mlx.tasks.task import Example, Task

SHOWN_EXAMPLES = 3
SHOWN_PROBLEMS = 100


@dataclass(frozen=True)
class Collection:
    """A recipe's task sources, or one path the user typed."""

    title: str
    sources: tuple[TaskSource, ...] = ()
    error: YofoError | None = None  # why the recipe cannot be read


@dataclass(frozen=True)
class DataSet:
    """One data set, summed up."""

    name: str
    source: TaskSource
    family: str
    counts: tuple[int, int, int]  # train, valid, test
    columns: str = ""
    labels: tuple[tuple[str, int], ...] = ()  # with how often each occurs, most frequent first
    examples: tuple[Example, ...] = ()
    problems: tuple[Problem, ...] = ()
    errors: int = 0
    warnings: int = 0


def collections() -> list[Collection]:
    """Return the recipes the user has, with their task sources."""
    return [of_recipe(path) for path in find_recipes()]


def of_recipe(path: Path) -> Collection:
    """Return a recipe's task sources, or why it cannot be read."""
    try:
        recipe = load_recipe(path)
    except YofoError as error:
        return Collection(path.stem, error=error)
    return Collection(path.stem, recipe.tasks)


def of_path(text: str) -> Collection:
    """Return what a typed path or hub id stands for; a recipe file stands for its sources."""
    path = Path(text).expanduser()
    if path.suffix == ".toml" and path.is_file():
        return of_recipe(path.absolute())
    return Collection(text, (TaskSource(source=text),))


def is_remote(source: TaskSource) -> bool:
    """Tell whether reading a source means fetching it from the hub."""
    if source.source.startswith("tiny:") or locate.is_pattern(source.source):
        return False
    try:
        return locate.find(source.source, Path.cwd()) is None
    except DataError:
        return False  # reading it says what is wrong


def read(source: TaskSource) -> list[DataSet]:
    """Read a source and sum up every data set in it; what is wrong is told as problems."""
    try:
        if source.source.startswith("tiny:"):
            return [_of_task(entry.task, source) for entry in load_tasks([source], 0, Path.cwd())]
        return [_of_loaded(loaded) for loaded in load(source, Path.cwd())]
    except YofoError as error:
        problem = Problem(Place(source.source), error.message, error.hint)
        return [_failed(source, problem)]
    except (OSError, MemoryError) as error:
        return [_failed(source, Problem(Place(source.source), str(error) or "too large to read"))]


def _failed(source: TaskSource, problem: Problem) -> DataSet:
    name = source.name or source.source
    return DataSet(name, source, source.family or "other", (0, 0, 0), problems=(problem,), errors=1)


def _of_task(task: Task, source: TaskSource) -> DataSet:
    pairs = (*task.train, *task.valid, *task.test)
    counts = (len(task.train), len(task.valid), len(task.test))
    answers = (pair.output for pair in pairs) if task.family == "classification" else ()
    return DataSet(
        task.name, source, task.family, counts, "", _counted(answers), pairs[:SHOWN_EXAMPLES]
    )


def _of_loaded(loaded: Loaded) -> DataSet:
    source, items = loaded.source, list(loaded.all_items())
    problems = check(loaded)
    errors = sum(problem.severity == "error" for problem in problems)
    labelled = loaded.family in LABELLED
    train, valid, test = (len(loaded.items.get(split, ())) for split in SPLITS)
    columns = loaded.columns
    return DataSet(
        name=loaded.name,
        source=source,
        family=loaded.family,
        counts=(train, valid, test),
        columns=f"{columns.input} → {columns.output}" if columns else "",
        labels=_counted(answer for item in items for answer in item.answers) if labelled else (),
        examples=tuple(item.example for item in items[:SHOWN_EXAMPLES]),
        problems=tuple(sorted(problems, key=lambda p: p.severity != "error")[:SHOWN_PROBLEMS]),
        errors=errors,
        warnings=len(problems) - errors,
    )


def _counted(answers: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(answers).most_common())
