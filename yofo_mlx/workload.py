"""From a recipe to what a run works on: tasks, their tokenised pools, the sampler."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yofo_mlx.episodes import Pool, Sampler, make_pool
from yofo_mlx.recipe import Recipe
from yofo_mlx.segments import Segmenter
from yofo_mlx.tasks.registry import TaskEntry


@dataclass(frozen=True)
class Workload:
    """The data side of a run."""

    entries: list[TaskEntry]
    pools: list[Pool]
    sampler: Sampler

    @property
    def held_out(self) -> list[TaskEntry]:
        """Tasks that are only evaluated."""
        return [entry for entry in self.entries if entry.role == "held_out"]

    @property
    def left_out(self) -> int:
        """Examples that fit no episode."""
        return sum(pool.left_out for pool in self.pools)

    def valid_entries(self, count: int) -> list[TaskEntry]:
        """Draw training tasks with queries of their own, the same ones every time."""
        usable = [e for e in self.entries if e.role == "train" and (e.task.valid or e.task.test)]
        return usable if len(usable) <= count else random.Random(0).sample(usable, count)


def make_workload(recipe: Recipe, entries: Sequence[TaskEntry], tokenizer: Any) -> Workload:
    """Tokenise the training tasks and set the sampler up."""
    pools = [
        make_pool(
            entry.task.name,
            entry.task.train,
            Segmenter(tokenizer, recipe.template, entry.task.instruction),
            recipe.episodes.max_tokens,
            entry.weight,
        )
        for entry in entries
        if entry.role == "train"
    ]
    return Workload(list(entries), pools, Sampler(pools, recipe.episodes, recipe.seed))
