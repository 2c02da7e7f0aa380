"""What there is to know about a data set, kept small enough to be sent and shown."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yofo_mlx.recipe.schema import TaskSource


@dataclass(frozen=True)
class Finding:
    """A problem of a data set, and where."""

    place: str
    message: str
    hint: str = ""
    is_error: bool = True
    path: str = ""
    line: int = 0  # 0: the whole file, or one that has no lines


@dataclass(frozen=True)
class DataSet:
    """One data set, summed up."""

    name: str
    place: str
    family: str
    counts: tuple[int, int, int] = (0, 0, 0)  # train, valid, test: what a model reads of it
    nbytes: int = 0  # of its files
    columns: str = ""
    instruction: str = ""
    labels: list[tuple[str, int]] = field(default_factory=list)  # the most frequent, how often
    label_count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)  # the first ones, errors before warnings
    errors: int = 0
    warnings: int = 0
    notes: list[str] = field(default_factory=list)  # what is left out or set aside


def from_facts(facts: dict[str, Any]) -> DataSet:
    """Return the data set that JSON holds."""
    whole: dict[str, Any] = {
        "counts": tuple(facts["counts"]),
        "labels": [(label, times) for label, times in facts["labels"]],
        "examples": [(text, answer) for text, answer in facts["examples"]],
        "problems": [Finding(**problem) for problem in facts["problems"]],
    }
    return DataSet(**facts | whole)


def unread(source: "TaskSource", message: str, hint: str = "") -> DataSet:
    """Return what is known of a source that cannot be read."""
    problem = Finding(source.source, message, hint)
    name = source.name or source.source
    family = source.family or "other"
    return DataSet(name, source.source, family, problems=[problem], errors=1)
