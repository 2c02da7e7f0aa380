"""What is kept of a study: a file for each adapter, and one that says of which recipe they are.

DIR/study.json      the recipe without any path, fingerprints of model and training data
DIR/results/*.json  what one adapter cost and scored, query by query
DIR/runs/           run folders, of this machine; the rest alone lets another one go on
"""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from yofo_mlx.errors import RunError
from yofo_mlx.evaluation.comparison import differences
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.section import Section
from yofo_mlx.recipe.study import RATE, Value
from yofo_mlx.runs.events import finite
from yofo_mlx.system.files import disk_error, write_text
from yofo_mlx.system.text import shorten

FORMAT: Final = 1
STUDY_FILE: Final = "study.json"
OWN: Final = frozenset(
    ("results", "runs", ".gitignore", "lock", "progress.json")
)  # what begins a study's folder

Scores = dict[str, tuple[float, float]]
"""Score and loss (nats) of each query, by its key."""
Values = tuple[tuple[str, Value], ...]
"""Keys of the recipe, sorted, with what a search sets them to."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore")


class TrainingCost(_Kept):
    """What an adapter was trained with, and what it took."""

    tokens: int  # processed, padding left out
    targets: int  # tokens that were trained
    updates: int
    seconds: float
    learning_rate: float
    overrides: list[str] = []


class MeasuredTask(_Kept):
    """What was asked of a task."""

    fingerprint: str
    family: str
    metric: str
    labels: int  # how many there are; 0: it has none
    asked: dict[int, int]  # queries by shots, as they were asked for; there may be fewer
    room: dict[int, int] = {}  # by shots: tokens of the longest prompt then
    reason: str = ""  # why nothing could be asked


class Forgetting(_Kept):
    """Loss on texts that nobody trains on."""

    fingerprint: str
    loss: float  # nats a token


class Result(_Kept):
    """What one adapter (or the base model) cost and scored."""

    format: int = FORMAT
    arm: str
    seed: int
    learning_rate: float | None = None  # where the study says which
    searched: dict[str, Value] = {}  # other keys that it does so of
    rows: float | None = None  # share of the training rows, where not all were there
    task: str | None = None  # of a dedicated adapter
    training: TrainingCost | None = None
    adapter: str = ""  # SHA-256 of its weights
    note: str = ""  # what a reader has to know of it
    machine: dict[str, Any] = {}
    measured_seconds: float = 0.0
    tasks: dict[str, MeasuredTask] = {}
    cells: dict[str, dict[int, Scores]] = {}  # by task and shots
    beside: dict[str, dict[int, dict[str, float]]] = {}  # told beside the score, likewise
    choice: dict[str, dict[str, float]] = {}  # 1.0: the likeliest of the given labels is right
    outside: dict[str, dict[str, float]] = {}  # 1.0: the free answer is none of the labels
    forgetting: Forgetting | None = None

    @property
    def values(self) -> Values:
        """Return what a search had set."""
        rate = {RATE: self.learning_rate} if self.learning_rate is not None else {}
        return tuple(sorted((rate | self.searched).items()))

    def has(
        self, name: str, fingerprint: str, queries: int, shots: tuple[int, ...], room: int
    ) -> bool:
        """Tell whether a task was measured with so many queries at all these shots.

        What had no room once is measured where prompts may be longer now.
        """
        known = self.tasks.get(name)
        if known is None or known.fingerprint != fingerprint:
            return False
        cells = self.cells.get(name, {})
        return all(
            known.asked.get(count, 0) >= queries
            and (count in cells or known.room.get(count, room) >= room)
            for count in shots
        )


class StudyFolder:
    """The folder of a study."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def runs(self) -> Path:
        """The folder of its runs."""
        return self.path / "runs"

    def result_path(self, name: str) -> Path:
        """Return the file of one adapter."""
        return self.path / "results" / f"{name}.json"

    def identity(self) -> dict[str, Any]:
        """Return what study.json holds, empty where there is none."""
        try:
            found = json.loads((self.path / STUDY_FILE).read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("of"), dict):
            path = self.path / STUDY_FILE
            raise RunError(f"{path} is not of a study", "choose another folder: --out DIR")
        if found.get("format") != FORMAT:
            raise RunError(f"{self.path} was made by another version of yofo", "update yofo")
        return found

    def begin(self, identity: dict[str, Any], shown: dict[str, Any]) -> None:
        """Make the folder, or go on with it; one of another recipe is refused.

        `shown` is what the report says of it, and may change.
        """
        before = self.identity()
        identity = json.loads(json.dumps(identity))
        if before and (of := in_full(before["of"])) != (now := in_full(identity)):
            raise RunError(
                f"{self.path} holds a study of another recipe: {_changed(of, now)}",
                "choose another folder with --out DIR, or go on with the recipe it is of",
            )
        there = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if not before and there - OWN:
            raise RunError(f"{self.path} holds something else", "choose another folder: --out DIR")
        content = {"format": FORMAT, "of": identity, **shown}
        try:
            self.result_path("").parent.mkdir(parents=True, exist_ok=True)
            self.runs.mkdir(exist_ok=True)
            write_text(self.path / ".gitignore", "/runs/\n/lock\n/progress.json\n")
            write_text(self.path / STUDY_FILE, json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise disk_error(error, self.path, "the same command") from error

    def result(self, name: str) -> Result | None:
        """Return what is kept of an adapter, None if there is nothing that can be read."""
        return read_result(self.result_path(name))

    def results(self) -> dict[str, Result]:
        """Return everything that is kept, by name."""
        paths = sorted(self.result_path("").parent.glob("*.json"))
        found = ((path.stem, read_result(path)) for path in paths)
        return {name: result for name, result in found if result}


def read_result(path: Path) -> Result | None:
    """Return what a file holds, None if it is none or damaged."""
    try:
        return Result.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, RecursionError, ValidationError):
        return None


def write_result(path: Path, result: Result) -> None:
    """Write a result as a whole, a line for each part, so that versions can be compared."""
    content = finite(result.model_dump(mode="json"))
    parts = [f'"{key}": {_lines(value, key == "cells")}' for key, value in content.items()]
    try:
        write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")
    except OSError as error:
        raise disk_error(error, path.parent, "the same command") from error


def _lines(value: Any, deep: bool) -> str:
    """Return JSON: a dictionary with a line for each key, `deep`: two levels of them."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    rows = [
        f"{json.dumps(key)}: {_lines(one, False) if deep else json.dumps(one)}"
        for key, one in value.items()
    ]
    return "{\n" + ",\n".join(rows) + "\n}"


def in_full(identity: dict[str, Any]) -> dict[str, Any]:
    """Return what adapters depend on with the keys that a recipe has by now, as by default."""
    defaults = _defaults(Recipe)
    return defaults | {
        name: defaults[name] | value if isinstance(defaults.get(name), dict) else value
        for name, value in identity.items()
    }


def _defaults(section: type[Section]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            found[name] = _defaults(kind)
        elif not field.is_required():
            found[name] = field.default
    written: dict[str, Any] = json.loads(json.dumps(found))
    return written


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str:
    found = list(differences(before, now))
    words = [f"{one.setting} is {one.first!r} there, {one.second!r} here" for one in found[:3]]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return shorten("; ".join(words), 300) + more
