"""What base models scored, shared by all evaluations; what an adapter scored never is.

A file for each task and all that the figures depend on, whichever run asked for them.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import mlx.core as mx

from yofo_mlx.evaluation.archive import Content
from yofo_mlx.evaluation.scores import Results
from yofo_mlx.evaluation.stored import results_of
from yofo_mlx.runs.events import finite
from yofo_mlx.system import paths
from yofo_mlx.system.files import write_text

FORMAT = 1  # another one where figures change though nothing that is asked does


@dataclass(frozen=True)
class SharedResults:
    """A base model's results on a task, by draw and shots, and whose evaluation made them."""

    origin: str
    results: dict[str, Results]


def find(asked: Content, task: str) -> SharedResults | None:
    """Return what was measured of a task before, if all that its figures depend on is the same."""
    try:
        found = json.loads(_place(asked, task).read_text(encoding="utf-8"))
        results = results_of(found["results"])
        return SharedResults(str(found["origin"]), results) if results else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def keep(asked: Content, task: str, found: SharedResults) -> None:
    """Keep what was measured of a task; where that cannot be, it is measured again."""
    place = _place(asked, task)
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        content = {"origin": found.origin, "task": task, "results": found.results}
        write_text(place, json.dumps(finite(content)) + "\n")


def _place(asked: Content, task: str) -> Path:
    return paths.base_results() / f"{_key(asked, task)}.json"


def _key(asked: Content, task: str) -> str:
    """Return a digest of all that a base model's figures on a task depend on."""
    facts, idle = dict(asked["tasks"][task]), ("choice", "samples", "valid_tasks")
    how = {name: value for name, value in asked["evaluation"].items() if name not in idle}
    how["queries"] = facts.pop("queries", how.get("queries"))
    depends: dict[str, Any] = {
        "format": FORMAT,
        "versions": asked["versions"],
        "device": str(mx.default_device()),
        "model": asked["model"]["fingerprint"],
        "seed": asked["seed"],
        "template": asked["template"],
        "evaluation": how,
        "task": [task, facts],
    }
    return sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
