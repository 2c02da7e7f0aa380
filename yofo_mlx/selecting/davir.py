"""DavIR (arXiv 2310.13008): what a model learned of a row when it was trained on all of them.

The score of a row is (L_base - L_tuned) / L_base, of the loss of its answer without demonstrations.
Dividing takes away that long or hard answers have more to lose.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from yofo_mlx.rehearsal.store import Store
from yofo_mlx.selecting.reader import Reader
from yofo_mlx.selecting.settings import Ranked
from yofo_mlx.system.progress import Progress
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example

LEAST = 1e-6  # nats: of a row that the base knows by heart there is nothing to learn
AT_A_TIME = 16  # rows, after which their losses are on the disk


class Davir:
    """The base against an adapter that was trained on the rows."""

    def __init__(self, reader: Reader, store: Store, adapter: Path) -> None:
        self._reader, self._store, self._adapter = reader, store, adapter

    def rank(self, entry: TaskEntry) -> Ranked:
        """Rank a task's training rows, those first of which most was learned."""
        rows, instruction = entry.task.train, entry.task.instruction
        before = self._losses(rows, instruction, f"{entry.task.name}: base")
        after = self._losses(rows, instruction, f"{entry.task.name}: tuned", self._adapter)
        scores = list(map(learned, before, after))
        return Ranked(by_score(scores), scores)

    def _losses(
        self, rows: Sequence[Example], instruction: str, what: str, adapter: Path | None = None
    ) -> list[float | None]:
        """Return the mean loss of each answer by a model, read once and kept."""
        segmenter = self._reader.segmenter(instruction)
        with self._reader.adapted(adapter) if adapter else nullcontext("base") as who:
            keys = [
                self._reader.key("loss", who, instruction, one.input, one.output) for one in rows
            ]
            left = [place for place, key in enumerate(keys) if key not in self._store]
            with Progress(what, len(left)) as progress:
                for start in range(0, len(left), AT_A_TIME):
                    some = left[start : start + AT_A_TIME]
                    read = self._reader.read(segmenter, (), [rows[place] for place in some])
                    for place, losses in zip(some, read, strict=True):
                        mean = None if losses is None else float(losses.mean())
                        self._store.add(keys[place], mean)
                        progress.tick()
        return [self._store[key] for key in keys]


def learned(before: float | None, after: float | None) -> float | None:
    """Return the share of its loss that a row lost, below 0 where it gained; None if not read."""
    if before is None or after is None:
        return None
    return (before - after) / before if before >= LEAST else 0.0


def by_score(scores: Sequence[float | None]) -> list[int]:
    """Return places from the highest score to the lowest, the first of equal ones first."""
    return sorted(
        range(len(scores)), key=lambda n: -float("inf") if (s := scores[n]) is None else s,
        reverse=True,
    )  # fmt: skip
