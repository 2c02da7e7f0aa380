"""A task: labelled examples of one kind, from which demonstrations and queries are drawn."""

from dataclasses import dataclass, field

from yofo_mlx.recipe.family import Family


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled pair."""

    input: str
    output: str


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
    kind: str = ""  # tasks of one kind share a line of a report; left empty: a line of its own
