"""What the process that measures is told."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """What is to be measured, and where it is kept."""

    recipe: dict[str, Any]
    path: str  # of the result
    result: dict[str, Any]  # how it begins, where there is none yet
    adapter: str | None
    seed: int
    tasks: list[str]
    more: list[str]  # `forgetting`, `choice`
    all_tasks: list[str]  # of a result that is begun anew
    all_more: list[str]
    tasks_with_labels: list[str]  # that `choice` is about

    def dumps(self) -> str:
        """Return it as a line."""
        return json.dumps(asdict(self))
