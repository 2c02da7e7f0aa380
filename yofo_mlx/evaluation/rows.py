"""A row for each query: what was expected, what the base model and the adapter answered."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yofo_mlx.evaluation.archive import MODELS, Content, models
from yofo_mlx.evaluation.scores import TaskScores
from yofo_mlx.evaluation.stored import scores_of
from yofo_mlx.runs.events import finite
from yofo_mlx.system.files import replacing
from yofo_mlx.tasks.task import Example

SUFFIXES = (".csv", ".jsonl")
HEAD = ("task", "shots", "draw", "query", "expected")
LONGEST_LINE = 10_000_000  # bytes of a row that is looked at
OUTCOMES = ("fixed", "regressed", "kept", "still wrong")

RowOfQuery = dict[str, Any]


def outcome(base: float, adapter: float) -> str:
    """Return what the adapter made of a query, by its scores; graded ones are only compared."""
    if adapter != base:
        return "fixed" if adapter > base else "regressed"
    return "kept" if base > 0 else "still wrong"


References = Mapping[str, Mapping[Example, Sequence[str]]]
"""The answers that are as right as the expected one, by task."""


def rows(
    content: Content,
    queries: Mapping[str, Sequence[Example]],
    references: References | None = None,
) -> Iterator[RowOfQuery]:
    """Yield a row for each query of each draw, at the most shots that its task reaches."""
    names = models(content)
    for task, examples in queries.items():
        found = [scores_of(content["measured"][name][task]) for name in names]
        more = (references or {}).get(task, {})
        for draw, results in enumerate(zip(*map(at_most_shots, found), strict=True)):
            for example, *of_models in zip(examples, *results, strict=True):
                row: RowOfQuery = {"task": task, "shots": found[0].points[-1].shots, "draw": draw}
                row |= {"query": example.input, "expected": example.output}
                row |= {"also_right": [*more.get(example, ())]} if more else {}
                row |= {n: one.answer for n, one in zip(names, of_models, strict=True)}
                if names == MODELS:
                    row["outcome"] = outcome(*(one.score for one in of_models))
                for name, one in zip(names, of_models, strict=True):
                    row |= {f"{name}_score": one.score, f"{name}_loss": one.loss}
                if all(one.choice is not None for one in of_models):
                    row |= {
                        f"{n}_choice": one.choice for n, one in zip(names, of_models, strict=True)
                    }
                yield row


def at_most_shots(scores: TaskScores) -> list[Any]:
    """Return the results of each draw at the most shots that a task reaches."""
    if not scores.points:
        return []
    shots = scores.points[-1].shots
    found = (scores.results.get(f"{draw}/{shots}") for draw in range(scores.draws))
    return [results for results in found if results]


def outcomes(content: Content) -> dict[str, dict[str, int]]:
    """Return how many queries of each task were fixed and so on, at the most shots of each."""
    if models(content) != MODELS:
        return {}
    found = {}
    for task in content["asked"]["tasks"]:
        base, adapter = (
            [one.score for some in at_most_shots(scores_of(facts)) for one in some]
            for facts in (content["measured"][name][task] for name in MODELS)
        )
        counts = Counter(map(outcome, base, adapter))
        if counts:
            found[task] = {name: counts[name] for name in OUTCOMES}
    return found


def write(path: Path, table: Sequence[RowOfQuery]) -> None:
    """Write rows as CSV or JSON Lines, as the file's name says; it appears whole or not at all."""
    columns = list(dict.fromkeys([*HEAD, *(name for row in table for name in row)]))
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        if path.suffix.lower() == ".csv":
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row.items()} for row in table)
        else:
            file.writelines(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in table)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def is_of_rows(path: Path) -> bool:
    """Tell whether a file begins as one that `write` has made, or holds nothing."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE)
    if not first or first.startswith(",".join(HEAD).encode()):
        return True
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and tuple(row)[: len(HEAD)] == HEAD
