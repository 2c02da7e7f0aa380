"""Means with intervals: a paired bootstrap over queries within their tasks, and over seeds.

The scores of a task are a table (S seeds, Q queries). A seed is one training, the same for all
tasks; a query is the same for all seeds. So seeds are drawn once for all tasks, queries once for
all seeds, both with replacement; every task weighs the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 95  # percent


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval, and how much it rests on."""

    mean: float
    low: float
    high: float
    seeds: int
    tasks: int
    queries: int  # of all tasks together
    seed_spread: float | None = None  # standard deviation of the seeds' own means


@dataclass
class Bootstrap:
    """Draws that are the same for whatever is compared, so that differences are paired."""

    resamples: int = RESAMPLES
    seed: int = 0
    _queries: dict[tuple[str, int], Table] = field(default_factory=dict, repr=False)
    _seeds: dict[int, Table] = field(default_factory=dict, repr=False)

    def estimate(self, tables: Mapping[str, Table]) -> Estimate:
        """Return the mean over tasks of tables (S, Q), each with its own Q and the same S."""
        seeds = {len(table) for table in tables.values()}
        (count,) = seeds
        means = self.resampled(tables)
        half = (100 - LEVEL) / 2
        low, high = np.percentile(means, [half, 100 - half])
        of_seeds = np.mean([table.mean(axis=1) for table in tables.values()], axis=0)
        return Estimate(
            float(of_seeds.mean()),
            float(low),
            float(high),
            seeds=count,
            tasks=len(tables),
            queries=sum(table.shape[1] for table in tables.values()),
            seed_spread=float(of_seeds.std(ddof=1)) if count > 1 else None,
        )

    def resampled(self, tables: Mapping[str, Table]) -> Table:
        """Return the mean of each resample (R,)."""
        total = np.zeros(self.resamples)
        for name, table in tables.items():
            seeds, queries = table.shape
            by_query = self._shares(self._seeds, seeds, seeds) @ table  # (R, Q)
            drawn = self._shares(self._queries, (name, queries), queries)
            total += np.einsum("rq,rq->r", by_query, drawn)
        return total / len(tables)

    def _shares(self, known: dict, key: object, count: int) -> Table:  # type: ignore[type-arg]
        """Return how often each of `count` things is drawn in each resample, as a share (R, n)."""
        if key not in known:
            words = str(key).encode("utf-8", "surrogatepass")
            rng = np.random.default_rng([self.seed, *words])
            chances = np.full(count, 1 / count)
            known[key] = rng.multinomial(count, chances, size=self.resamples) / count
        found: Table = known[key]
        return found
