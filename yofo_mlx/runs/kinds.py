"""The kinds of events, each declared once: its fields with their types, units and meaning.

Writers make events of these classes, and the table in docs/run-folder.md is made from them. Readers
take an event as the dict that its line holds: another version may have written other fields.
A field with a default is left out where it has that.
"""

import time
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, ClassVar, Final, get_args, get_origin, get_type_hints

VERSION: Final = 1
KINDS: Final[dict[str, type["Kind"]]] = {}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Something that happens to a run."""

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        """Name the kind as its class."""
        cls.kind = cls.__name__.removesuffix("Event").lower()
        KINDS[cls.kind] = cls

    def as_dict(self) -> dict[str, Any]:
        """Return its fields as they are written."""
        told = asdict(self)
        for one in fields(self):
            if one.default is not MISSING and told[one.name] == one.default:
                del told[one.name]
        return told

    def now(self) -> dict[str, Any]:
        """Return it as an event of now."""
        return {"v": VERSION, "t": round(time.time(), 3), "kind": self.kind} | self.as_dict()


StepCount = Annotated[int, "how many are done"]
Share = Annotated[float, "of the run that is done, 0 to 1"]
PlannedSteps = Annotated[int | None, "length of the run, where it is counted in steps"]
PlannedTokens = Annotated[int | None, "length of the run, where it is counted in tokens"]


@dataclass(frozen=True, kw_only=True)
class LoadingEvent(Kind):
    """A trainer of a created or resumed run reads data and model; taken back when it trains."""

    process: Annotated[int, "id of its process"]


@dataclass(frozen=True, kw_only=True)
class StartedEvent(Kind):
    """The training begins."""

    run_id: Annotated[str, "what the run is called by then"]
    model: Annotated[str, "as the recipe names it"]
    steps: PlannedSteps
    tokens: PlannedTokens
    train_tasks: Annotated[int, "how many are trained on"]
    held_out_tasks: Annotated[int, "how many are only measured"]
    init_adapter: Annotated[str | None, "that it begins with; null: a fresh one"]
    trainable_parameters: Annotated[int, "of the adapter"]


@dataclass(frozen=True, kw_only=True)
class ExtendedEvent(Kind):
    """The run was given another length; one that goes on after `finished` has it."""

    step: StepCount
    steps: PlannedSteps = None
    tokens: PlannedTokens = None
    before: Annotated[int, "its length until then"]
    lr_before: Annotated[float | None, "learning rate of the last step; null before the first one"]
    lr: Annotated[float, "and of the next one"]
    share: Annotated[float | None, "of the run that is done, 0 to 1"] = None


@dataclass(frozen=True, kw_only=True)
class PlanEvent(Kind):
    """How the longest step will be taken, and the longest validation if there is one."""

    chunk: Annotated[int | None, "tokens; null: whole episodes at once"]
    stash: Annotated[int | None, "layers that are recomputed together; null as for the chunk"]
    model_gb: Annotated[float, "memory of the loaded model"]
    step_gb: Annotated[float, "what a step takes beside it"]
    limit_gb: Annotated[float, "memory that it is planned for"]
    native_attention: Annotated[bool, "whether MLX's own attention is used"]
    validation_gb: Annotated[float | None, "what a validation takes beside the model"] = None
    validation_tokens: Annotated[int | None, "of a prompt and its query"] = None
    validation_at_once: Annotated[int | None, "queries"] = None


@dataclass(frozen=True, kw_only=True)
class ProgressEvent(Kind):
    """How far a step or a validation is, or what a run that loads has read; every ten seconds."""

    step: Annotated[int, "at which it is; 0 while it loads"]
    done: Annotated[int, "pieces, tasks, rows, examples or MB"]
    total: Annotated[int, "of how many; 0: not known"]
    phase: Annotated[str, "`forward`, `backward`, `validation`, or what is read"]


@dataclass(frozen=True, kw_only=True)
class StepEvent(Kind):
    """A step was made."""

    step: StepCount
    loss: Annotated[float, "in nats, as the recipe normalises"]
    lr: Annotated[float, "learning rate"]
    grad_norm: Annotated[float, "before it was clipped"]
    tokens: Annotated[int, "of the step, padding left out"]
    targets: Annotated[int, "tokens that were trained"]
    shots: Annotated[list[int], "of each episode"]
    tokens_per_s: Annotated[float, "its pace"]
    targets_per_s: Annotated[float, "likewise"]
    peak_gb: Annotated[float, "most memory that was used at once"]
    memory_gb: Annotated[float, "used and cached when it was done"]
    total_tokens: Annotated[int, "of all steps"]
    share: Share
    seconds_left: Annotated[float, "at the pace until now"]
    footprint_gb: Annotated[float | None, "of the whole process when it was done"] = None


@dataclass(frozen=True, kw_only=True)
class ShotsRow:
    """What tasks of one metric scored with so many demonstrations."""

    metric: Annotated[str, "such as `exact`"]
    tasks: Annotated[int, "that were measured at each number of shots"]
    of: Annotated[int, "tasks that have this metric"]
    shots: Annotated[int, "demonstrations"]
    accuracy: Annotated[float, "mean of the metric, 0 to 1"]
    accuracy_margin: Annotated[float, "half its 95 % interval"]
    loss: Annotated[float, "of the right answers, in nats"]


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """What one task scored, by its own metric, with so many demonstrations."""

    task: Annotated[str, "its name"]
    shots: Annotated[list[int], "demonstrations, fewest first"]
    accuracy: Annotated[list[float], "with each of them, 0 to 1"]


@dataclass(frozen=True, kw_only=True)
class EvalEvent(Kind):
    """A validation was made."""

    step: StepCount
    loss: Annotated[float, "in nats, the mean over tasks"]
    by_shots: Annotated[list[ShotsRow], "metric by metric"]
    by_task: Annotated[list[TaskRow], "task by task"]
    best: Annotated[bool, "whether it is the best until now: then its adapter is kept"]
    peak_gb: Annotated[float, "most memory that was used at once"]


@dataclass(frozen=True, kw_only=True)
class SampleEvent(Kind):
    """A validation wrote an answer out: the same queries every time, after its most shots."""

    step: StepCount
    task: Annotated[str, "of which the query is"]
    shots: Annotated[int, "demonstrations before it"]
    input: Annotated[str, "of the query, its beginning"]
    expected: Annotated[str, "the right answer, its beginning"]
    answer: Annotated[str, "the greedy one, its first 64 tokens at most"]
    score: Annotated[float, "by the task's metric, 0 to 1"]


@dataclass(frozen=True, kw_only=True)
class CheckpointEvent(Kind):
    """A checkpoint was saved."""

    step: StepCount
    path: Annotated[str, "below the run's folder"]


@dataclass(frozen=True, kw_only=True)
class WarningEvent(Kind):
    """The user should know something."""

    message: Annotated[str, "what it is"]
    hint: Annotated[str, "what to do; may be empty"]


@dataclass(frozen=True, kw_only=True)
class ResumedEvent(Kind):
    """The run goes on; in `past.jsonl` alone, after what was taken back."""

    step: StepCount


@dataclass(frozen=True, kw_only=True)
class FinishedEvent(Kind):
    """The run came to its end."""

    step: StepCount
    best_step: Annotated[int, "whose adapter was kept; 0: none was validated, it is the last one"]
    seconds: Annotated[float, "that all steps took"]


@dataclass(frozen=True, kw_only=True)
class StoppedEvent(Kind):
    """The run was asked to stop, and can go on."""

    step: StepCount
    reason: Annotated[str, "in words"]


@dataclass(frozen=True, kw_only=True)
class FailedEvent(Kind):
    """The run, or what it loads, came to grief."""

    step: StepCount
    message: Annotated[str, "what it is"]
    hint: Annotated[str, "what to do; may be empty"]
    cause: Annotated[
        str | None,
        "such as `out of memory`; null if it is none of the [known ones](long-runs.md)",
    ]


def table() -> str:
    """Return the table in docs/run-folder.md."""
    rows: list[tuple[str, ...]] = [("kind", "field", "type", ""), ("---",) * 4]
    for name, kind in KINDS.items():
        rows += [(f"**`{name}`**", "", "", kind.__doc__ or ""), *_rows(kind)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _rows(declared: type[Any], prefix: str = "") -> Iterator[tuple[str, ...]]:
    """Yield the fields of a kind, and of the rows in them."""
    hints = get_type_hints(declared, include_extras=True)
    for one in fields(declared):
        hint, words = get_args(hints[one.name])
        kind = _type(hint)
        if one.default is not MISSING:
            kind = kind.replace("or null", "or left out")
        yield "", f"`{prefix}{one.name}`", kind, words
        for inner in [row for row in get_args(hint) if isinstance(row, type) and is_dataclass(row)]:
            yield from _rows(inner, f"{one.name}[].")


def _type(hint: Any) -> str:
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    if get_origin(hint) is list:
        (inner,) = get_args(hint)
        return "rows" if is_dataclass(inner) else f"{_type(inner)}s"
    some = [names[part] for part in get_args(hint) or (hint,) if part is not NoneType]
    return " or ".join([*some, *["null"] * (NoneType in get_args(hint))])
