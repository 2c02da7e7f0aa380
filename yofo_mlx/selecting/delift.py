"""DELIFT (arXiv 2411.04425): rows that, shown, help most with the others, and with different ones.

The utility of row i for row j is how much nearer to certain the model is of j's answer when i is
shown before it: d(j) - d(j | i), where d is the root mean square of 1 - p over the tokens of the
answer. No gradient is taken. The rows are chosen greedily by facility location: the sum, over the
rows tried, of the highest utility that a chosen one has for each.
"""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
import numpy.typing as npt

from yofo_mlx.rehearsal.store import Store
from yofo_mlx.selecting.reader import Losses, Reader
from yofo_mlx.selecting.settings import Ranked
from yofo_mlx.system.progress import Progress
from yofo_mlx.tasks.registry import TaskEntry

Matrix = npt.NDArray[np.float64]  # (rows, probes)


class Delift:
    """A model that is shown one row before others; each row is tried on the same `probes` rows."""

    def __init__(self, reader: Reader, store: Store, probes: int, seed: int) -> None:
        self._reader, self._store, self._probes, self._seed = reader, store, probes, seed

    def rank(self, entry: TaskEntry) -> Ranked:
        """Rank a task's training rows in the order in which they are chosen."""
        rows = entry.task.train
        draw = Random(f"{self._seed}/{entry.task.name}")
        probes = draw.sample(range(len(rows)), min(self._probes, len(rows)))
        matrix, known = self._utilities(entry, probes)
        order, gains = facility_location(matrix)
        scores = [gain if one else None for gain, one in zip(gains, known, strict=True)]
        return Ranked(
            [*(n for n in order if known[n]), *(n for n in order if not known[n])], scores
        )

    def _utilities(self, entry: TaskEntry, probes: Sequence[int]) -> tuple[Matrix, list[bool]]:
        """Return what each row is worth for each probe (rows, probes), and which were readable."""
        rows, instruction = entry.task.train, entry.task.instruction
        asked = [rows[place] for place in probes]
        tried = self._reader.key(instruction, [[one.input, one.output] for one in asked])
        keys = [
            self._reader.key("utility", tried, one.input, one.output, place)
            for place, one in enumerate(rows)
        ]
        left = [place for place, key in enumerate(keys) if key not in self._store]
        if left:
            segmenter = self._reader.segmenter(instruction)
            alone = self._reader.read(segmenter, (), asked)
            with Progress(
                f"{entry.task.name}: shown before {len(probes)} others", len(left)
            ) as bar:
                for place in left:
                    behind = self._reader.read(segmenter, [rows[place]], asked)
                    self._store.add(keys[place], _worth(place, probes, alone, behind))
                    bar.tick()
        kept: list[list[float] | None] = [self._store[key] for key in keys]
        none = [0.0] * len(probes)
        return np.array([none if one is None else one for one in kept]), [
            one is not None for one in kept
        ]


def _worth(
    place: int,
    probes: Sequence[int],
    alone: Sequence[Losses | None],
    behind: Sequence[Losses | None],
) -> list[float] | None:
    """Return a row's utility for each probe; nothing for itself, which would copy the answer."""
    if all(one is None for one in behind):
        return None
    return [
        0.0 if probe == place or before is None or after is None else utility(before, after)
        for probe, before, after in zip(probes, alone, behind, strict=True)
    ]


def utility(before: Losses, after: Losses) -> float:
    """Return how much nearer to certain the second reading of an answer is than the first."""
    return _distance(before) - _distance(after)


def _distance(losses: Losses) -> float:
    """Return the root mean square of 1 - p of an answer's tokens, from their losses."""
    missing = -np.expm1(-losses.astype(np.float64))
    return math.sqrt(np.mean(missing**2))


def facility_location(matrix: Matrix) -> tuple[list[int], list[float]]:
    """Return rows in the order in which they are chosen, and what each added (rows, probes).

    Each time it is the row that raises sum_j max_{i chosen} max(0, matrix[i, j]) most. Where none
    does any more, those left are chosen as if none had been; of equal ones the first comes first.
    """
    useful = matrix.clip(0)
    left, order = list(range(len(matrix))), list[int]()
    added = [0.0] * len(matrix)
    covered = np.zeros(matrix.shape[1])
    while left:
        gains = (useful[left] - covered).clip(0).sum(axis=1)
        best = int(gains.argmax())
        if gains[best] <= 0 and covered.any():
            covered = np.zeros_like(covered)
            continue
        chosen = left.pop(best)
        order.append(chosen)
        added[chosen] = float(gains[best])
        covered = np.maximum(covered, useful[chosen])
    return order, added
