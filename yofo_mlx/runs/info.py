"""run.json: what a run was made with. One writer, one set of typed fields, unknown ones kept."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from yofo_mlx.system.files import write_text
from yofo_mlx.system.text import is_utf8

if TYPE_CHECKING:
    from yofo_mlx.tasks.registry import TaskEntry

FORMAT = 1  # of a run folder; a newer one is refused


class _Kept(BaseModel):
    """A table of run.json; what another version added stays in it."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class ModelInfo(_Kept):
    """The base model as it was loaded."""

    name: str
    path: str
    revision: str | None = None  # commit, of a model from the hub
    fingerprint: str = ""


class TaskInfo(_Kept):
    """A task as it was read: its role, and how many examples each split has."""

    role: str
    train: int
    valid: int
    test: int

    @classmethod
    def of(cls, entry: "TaskEntry") -> "TaskInfo":
        """Return the figures of a task."""
        task = entry.task
        return cls(
            role=entry.role, train=len(task.train), valid=len(task.valid), test=len(task.test)
        )


class PlanInfo(_Kept):
    """How the longest step is taken; a run that dies of it goes on in smaller pieces."""

    chunk: int | None = None
    model_gb: FiniteFloat
    step_gb: FiniteFloat
    validation_gb: FiniteFloat | None = None


class Extension(_Kept):
    """A change of a run's length, made when `step` steps were done."""

    date: str
    step: int
    unit: Literal["steps", "tokens"]
    before: int
    after: int
    lr_before: FiniteFloat | None = None  # learning rate of the last step, None before the first
    lr: FiniteFloat  # and of the next one


class AdapterInfo(_Kept):
    """The adapter that a run began with, in place of a fresh one."""

    path: str
    sha256: str  # of its weights
    base: str = ""  # the model it says it was trained on


class RunInfo(_Kept):
    """Everything that run.json holds."""

    format: Any = FORMAT
    number: int = 0  # in the order of creation, from 1; runs from before there were numbers have 0
    created: FiniteFloat | None = None  # Unix time
    note: str = ""  # what its user wants to remember of it
    recipe: dict[str, Any] | None = None  # as resolved when the run began, in its latest length
    extended: list[Extension] = []
    init_adapter: AdapterInfo | None = None
    model: ModelInfo | None = None  # from here on: once it was loaded
    data: dict[str, str] | None = None  # fingerprint by task
    tasks: dict[str, TaskInfo] | None = None
    seed: int | None = None
    versions: dict[str, str] = {}
    python: str | None = None
    system: str | None = None
    device: str | None = None
    blas_threads: int | None = None  # of OpenBLAS, where it computes the matrix products
    git_commit: str | None = None
    command: list[str] = []  # that created it
    plan: PlanInfo | None = None
    limit_gb: FiniteFloat | None = None  # memory that its steps are planned for
    largest_chunk: int | None = None  # more ran out of memory

    def updated(self, **fields: Any) -> "RunInfo":
        """Return it with other fields, checked as those of a file are."""
        return RunInfo.model_validate(self.model_dump(exclude_unset=True) | fields)


def checked(found: dict[str, Any]) -> RunInfo:
    """Return what a run.json holds; what is missing or damaged in it has its default."""
    found = {key: value for key, value in found.items() if is_utf8(key)}
    try:
        return RunInfo.model_validate(found)
    except ValidationError as error:
        damaged = {detail["loc"][0] for detail in error.errors()}
        return RunInfo.model_validate({k: v for k, v in found.items() if k not in damaged})


def write(path: Path, info: RunInfo) -> None:
    """Write run.json, in ASCII: a path may be text that UTF-8 cannot hold."""
    content = {"format": info.format} | info.model_dump(exclude_unset=True)
    write_text(path, json.dumps(content, indent=2) + "\n")
