"""A data set summed up: how it was read, its labels, its first examples."""

from dataclasses import dataclass

from yofo_mlx.recipe.family import Family
from yofo_mlx.tasks.problems import errors
from yofo_mlx.tasks.registry import is_embedded, metric_of
from yofo_mlx.tasks.sources import LoadedSource
from yofo_mlx.tasks.splits import Split
from yofo_mlx.tasks.task import Example


@dataclass(frozen=True)
class KeptExamples:
    """How many rows `where` kept of those it saw."""

    kept: int
    seen: int


@dataclass(frozen=True)
class DataSummary:
    """What there is to know about a data set that was read."""

    name: str
    source: str
    input: str | None
    output: str | None
    chosen: bool  # the columns are not all the recipe's
    where: KeptExamples | None
    instruction: str
    family: Family
    metric: str
    guessed: bool  # the family is not the recipe's, but guessed from the answers
    splits: dict[Split, int]  # how many examples
    files: dict[Split, list[str]]
    labels: dict[str, int]  # how often each, the most frequent first; of families that have labels
    unused: list[str]
    errors: int
    first_error: str | None
    examples: list[Example]


def sum_up(loaded: LoadedSource, examples: int) -> DataSummary:
    """Sum a data set up, with its first examples."""
    items = list(loaded.all_items())
    columns, where = loaded.columns, loaded.selection
    wrong = errors(loaded.problems)
    return DataSummary(
        name=loaded.name,
        source=loaded.source.source,
        input=columns.input if columns else None,
        output=columns.output if columns else None,
        chosen=not (loaded.source.input and loaded.source.output),
        where=KeptExamples(where.kept, where.seen) if where else None,
        instruction=loaded.instruction,
        family=loaded.family,
        metric=metric_of(loaded.source, loaded.family),
        guessed=loaded.source.family is None and not is_embedded(loaded.source),
        splits={split: len(rows) for split, rows in loaded.items.items()},
        files=loaded.files,
        labels=dict(loaded.label_counts().most_common()),
        unused=[problem.message for problem in loaded.remarks],
        errors=len(wrong),
        first_error=wrong[0].in_full() if wrong else None,
        examples=[item.example for item in items[:examples]],
    )
