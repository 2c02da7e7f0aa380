"""Does what was exported say what the adapter says? Next-token distributions, side by side."""

import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import mlx.core as mx

from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.errors import YofoError
from yofo_mlx.planning.workload import make_workload
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.tasks.registry import TaskEntry, load_tasks

TEXTS, LENGTH = 4, 128  # compared: 512 tokens of context make a mean that moves in its third digit
KEPT_ENOUGH = 0.9  # of what the adapter changes; 4 bits kept 0.5 to 0.97 of small models' adapters


@dataclass(frozen=True)
class Agreement:
    """How near an export is to the adapter on its base, over the tokens compared."""

    tokens: int
    kl: float  # nats a token, from the adapter's distribution to the export's
    base_kl: float  # the same to the base's: how much the adapter changes
    same: float  # share of tokens with the same likeliest next one

    @property
    def kept(self) -> float:
        """Return the share of what the adapter changes that the export has, too."""
        return max(0.0, 1 - self.kl / self.base_kl) if self.base_kl > 0 else 1.0

    def __str__(self) -> str:
        return (
            f"KL {self.kl:.2g} nats a token to the adapter, which is {self.base_kl:.2g} from its"
            f" base: {self.kept:.1%} kept; the same next token in {self.same:.1%} of {self.tokens}"
        )


def texts_of(recipe: Recipe, tokenizer: Any, *, has_data: bool) -> tuple[list[list[int]], str]:
    """Return beginnings of a run's episodes, and what they are; random tokens without its data.

    Episodes of validation examples where the tasks have enough of them.
    """
    if has_data:
        with suppress(YofoError, OSError):  # its data may be elsewhere by now
            entries = load_tasks(recipe.tasks, recipe.seed, Path("/"))
            valid = [entry for entry in map(_validating, entries) if entry]
            for chosen, what in ((valid, "validation"), (entries, "training")):
                if found := _episodes(recipe, chosen, tokenizer):
                    return found, f"{what} episodes of the run"
    draw = random.Random(0)
    known = sorted(tokenizer.get_vocab().values())
    return [draw.choices(known, k=LENGTH) for _ in range(TEXTS)], "random tokens: no data at hand"


def _validating(entry: TaskEntry) -> TaskEntry | None:
    """Return a task whose episodes are of validation examples; None where they are too few."""
    task = entry.task
    if entry.role != "train" or len(task.valid) < 2:
        return None
    return replace(entry, task=replace(task, train=task.valid))


def _episodes(recipe: Recipe, entries: list[TaskEntry], tokenizer: Any) -> list[list[int]]:
    if not entries:
        return []
    sampler = make_workload(recipe, entries, tokenizer).sampler
    updates = (draw_passes(sampler, recipe.train, step) for step in range(TEXTS))
    drawn = (one for passes in updates for rows in passes for one in rows)
    return [one.tokens[:LENGTH] for one in islice(drawn, TEXTS)]


def log_probabilities(model: Any, texts: Sequence[list[int]]) -> list[mx.array]:
    """Return float32 log-probabilities (L, V) of each text's next tokens."""
    found = []
    for text in texts:
        logits = model(mx.array([text]))[0].astype(mx.float32)
        found.append(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
        mx.eval(found[-1])
    return found


def compare(
    adapted: Iterable[mx.array], base: Iterable[mx.array], exported: Iterable[mx.array]
) -> Agreement:
    """Compare log-probabilities of the adapter, of its base, and of what was exported."""
    kl = base_kl = same = tokens = 0.0
    for ours, before, theirs in zip(adapted, base, exported, strict=True):
        kl += float(_kl(ours, theirs))
        base_kl += float(_kl(ours, before))
        same += float((ours.argmax(-1) == theirs.argmax(-1)).sum())
        tokens += len(ours)
    return Agreement(int(tokens), kl / tokens, base_kl / tokens, same / tokens)


def _kl(ours: mx.array, theirs: mx.array) -> mx.array:
    return (mx.exp(ours) * (ours - theirs)).sum()
