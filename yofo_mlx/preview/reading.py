"""Data sets read and summed up; what is wrong with one is told in place of it."""

from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from typing import Any

from yofo_mlx.errors import YofoError
from yofo_mlx.preview.facts import DataSet, Finding, unread
from yofo_mlx.preview.loaded import sets_of
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.text import clip, reason
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.problems import Problem, errors
from yofo_mlx.tasks.registry import is_embedded, make_task
from yofo_mlx.tasks.sources import LoadedSource
from yofo_mlx.tasks.splits import SPLITS, Split
from yofo_mlx.tasks.summary import sum_up

SHOWN_EXAMPLES = 3
SHOWN_LABELS = 200
SHOWN_PROBLEMS = 100
LONGEST = 2000  # characters of an example's sides


def read(source: dict[str, Any]) -> dict[str, Any]:
    """Return all data sets of a `[[tasks]]` table, as `facts.from_facts` takes each."""
    return {"sets": [asdict(one) for one in _read_sets(source)]}


def _read_sets(facts: dict[str, Any]) -> list[DataSet]:
    source = TaskSource(**facts)
    try:
        return [_data_set(loaded) for loaded in sets_of(facts)]
    except YofoError as error:
        return [unread(source, error.message, error.hint)]
    except MemoryError:
        return [unread(source, "too large to read")]
    except Exception as error:  # a defect, or a disk: other sources are read all the same
        return [unread(source, f"{type(error).__name__}: {reason(error)}")]


def _data_set(loaded: LoadedSource) -> DataSet:
    summary = sum_up(loaded, SHOWN_EXAMPLES)
    sizes: dict[Split, int] = summary.splits
    problems: list[Problem] = []
    notes: tuple[str, ...] = ()
    if not is_embedded(loaded.source):  # whose answers are few on purpose
        problems = check(loaded)
        task, notes = make_task(loaded, 0)
        sizes = {split: len(getattr(task, split)) for split in SPLITS}
    wrong = len(errors(problems))
    return DataSet(
        summary.name,
        summary.source,
        summary.family,
        (sizes.get("train", 0), sizes.get("valid", 0), sizes.get("test", 0)),
        nbytes=loaded.nbytes,
        columns=f"{summary.input} → {summary.output}" if loaded.columns else "",
        instruction=summary.instruction,
        labels=[(clip(label, 200), n) for label, n in islice(summary.labels.items(), SHOWN_LABELS)],
        label_count=len(summary.labels),
        examples=[
            (clip(one.input, LONGEST), clip(one.output, LONGEST)) for one in summary.examples
        ],
        problems=_findings(problems),
        errors=wrong,
        warnings=len(problems) - wrong,
        notes=[note.removeprefix(f"{loaded.name}: ") for note in notes],
    )


def _findings(problems: Iterable[Problem]) -> list[Finding]:
    first = sorted(problems, key=lambda problem: problem.severity != "error")[:SHOWN_PROBLEMS]
    return [
        Finding(
            str(one.place),
            one.message,
            one.hint,
            one.severity == "error",
            one.place.path,
            one.place.number if one.place.unit == "line" else 0,
        )
        for one in first
    ]
