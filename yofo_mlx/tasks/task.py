"""A task: labelled examples of one kind, from which demonstrations and queries are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from yofo_mlx.recipe.family import Family

Teacher = tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled pair."""

    input: str
    output: str
    rejected: str = field(default="", compare=False)
    """An answer that is not to be given, where the row has one."""
    teacher: Teacher | None = field(default=None, compare=False, repr=False)
    """What is to be expected at each token of the answer: tokens with their shares."""
    doubt: float = field(default=0.0, compare=False)
    """How much less sure of the answer a model is than of others, 0 to 1, where the row says so."""

    def as_pair(self) -> dict[str, str]:
        """Return what is shown of it."""
        return {"input": self.input, "output": self.output}


@dataclass(frozen=True)
class Task:
    """Examples of one kind.

    `train` feeds demonstrations (in training and at evaluation), `valid` and `test` feed queries.
    A held-out task is never trained on: its `train` examples are only ever shown in the context.
    """

    name: str
    family: Family
    train: tuple[Example, ...]
    valid: tuple[Example, ...] = ()
    test: tuple[Example, ...] = ()
    instruction: str = ""
    labels: tuple[str, ...] = field(default=())
    references: Mapping[Example, tuple[str, ...]] = field(default_factory=dict)
    """Answers that are as right as the example's own, of the examples that have some."""
    kind: str = ""  # tasks of one kind share a line of a report; left empty: a line of its own

    def right_answers(self, example: Example) -> tuple[str, ...]:
        """Return what an answer is compared with: the example's own, and those as right."""
        return (example.output, *self.references.get(example, ()))
