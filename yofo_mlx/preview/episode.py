"""What a recipe trains: an episode with its targets, its tasks, means over the first updates."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from yofo_mlx.episodes.batches import target_spans
from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.episodes.sampler import Episode, tokenize
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.models.base import model_path
from yofo_mlx.planning.workload import Workload
from yofo_mlx.preview.plan import Drawn, drawn, forecast
from yofo_mlx.recipe.schema import Objective, Recipe
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.system.text import clip
from yofo_mlx.tasks.registry import TaskEntry

SAMPLED_UPDATES, SAMPLED_EPISODES = 50, 2000
SHOWN = 6000  # characters of an episode
MEASURED = 2000  # examples of a held-out task; the rest is taken to be like them


@dataclass(frozen=True)
class Summary:
    """Means over the episodes of a run's first updates."""

    updates: int
    episodes_per_update: float
    padding: float  # tokens of it for each token
    tokens: float
    targets: float
    target_share: float
    shots: float
    longest: int


def episode(data: dict[str, Any], folder: str = ".", step: int = 0) -> dict[str, Any]:
    """Return the forecast of a recipe as it is parsed with its data read, and an episode of it.

    `folder`: what its paths are relative to. `step`: the update whose first episode is shown.
    """
    recipe = resolve(data, "the recipe", Path(folder))
    warnings: list[tuple[str, str]] = []
    model = model_path(recipe.model, recipe.revision, weights=False)
    found = drawn(
        recipe, model, "RECIPE", needed=False, warn=lambda what, hint: warnings.append((what, hint))
    )
    facts = forecast(recipe, found)
    facts["warnings"] = [*warnings, *facts["warnings"]]
    return {"plan": facts, **_shown(recipe, found, step)}


def _shown(recipe: Recipe, found: Drawn, step: int) -> dict[str, Any]:
    if (workload := found.workload) is None:
        return {"tasks": [], "episode": None, "mean": None}
    drawn_first = next(draw_passes(workload.sampler, recipe.train, step))[0]
    told = {
        "task": drawn_first.task,
        "shots": drawn_first.shots,
        "tokens": len(drawn_first.tokens),
        "targets": sum(end - start for start, end in target_spans(drawn_first, recipe.objective)),
        "renamed": dict(drawn_first.renamed),
        "pieces": _clipped(pieces(drawn_first, recipe.objective, workload.tokenizer)),
    }
    return {
        "tasks": [_row(workload, recipe, entry) for entry in workload.entries],
        "episode": told,
        "mean": asdict(summarize(workload, recipe)),
    }


def _clipped(parts: Iterator[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Return the first pieces, about as many characters as somebody looks at."""
    kept: list[tuple[str, bool]] = []
    room = SHOWN
    for text, is_target in parts:
        if room <= 0:
            break
        kept.append((clip(text, room), is_target))
        room -= len(text)
    return kept


def pieces(shown: Episode, objective: Objective, tokenizer: Any) -> Iterator[tuple[str, bool]]:
    """Yield the text of an episode in pieces, and whether each is a target."""
    spans = target_spans(shown, objective)
    edges = [0, *(edge for span in spans for edge in span), len(shown.tokens)]
    for index, (start, end) in enumerate(pairwise(edges)):
        if text := _text(tokenizer, shown.tokens, start, end):
            yield text, index % 2 == 1


def _text(tokenizer: Any, tokens: list[int], start: int, end: int) -> str:
    """Decode tokens[start:end] as inside the whole: decoders trim a text's first blank."""
    if start == end:
        return ""
    context = tokens[max(0, start - 1) : start]
    return str(tokenizer.decode(context + tokens[start:end])).removeprefix(
        str(tokenizer.decode(context)) if context else ""
    )


def summarize(workload: Workload, recipe: Recipe) -> Summary:
    """Draw the first updates' episodes and average what they hold."""
    episodes: list[Episode] = []
    updates = padded = 0
    while updates < SAMPLED_UPDATES and len(episodes) < SAMPLED_EPISODES:
        for rows in draw_passes(workload.sampler, recipe.train, updates):
            episodes += rows
            padded += len(rows) * max(len(row.tokens) for row in rows)
        updates += 1
    tokens = np.array([len(one.tokens) for one in episodes])
    targets = np.array(
        [sum(end - start for start, end in target_spans(e, recipe.objective)) for e in episodes]
    )
    return Summary(
        updates=updates,
        episodes_per_update=len(episodes) / updates,
        padding=float(padded / tokens.sum() - 1),
        tokens=float(tokens.mean()),
        targets=float(targets.mean()),
        target_share=float(targets.sum() / tokens.sum()),
        shots=float(np.mean([one.shots for one in episodes])),
        longest=int(tokens.max()),
    )


def _row(workload: Workload, recipe: Recipe, entry: TaskEntry) -> dict[str, Any]:
    """Return what a task has: rows, tokens, and how many of it an episode can show."""
    task = entry.task
    pool = next((one for one in workload.pools if one.task == task.name), None)
    if pool is not None:
        lengths = pool.demonstrations.lengths[1]
        opening, tokens, rows = len(pool.opening), int(lengths.sum()), len(lengths)
    else:
        segmenter = Segmenter(workload.tokenizer, recipe.template, task.instruction)
        some = task.train[:MEASURED]
        measured = sum(len(tokenize(segmenter, example)) for example in some)
        rows = len(task.train)
        tokens = round(measured / max(len(some), 1) * rows)
        opening = len(segmenter.opening)
    room = recipe.episodes.max_tokens - opening
    return {
        "name": task.name,
        "role": entry.role,
        "family": task.family,
        "rows": len(task.train),
        "tokens": tokens,
        "shots": min(rows, int(room * rows / tokens)) if tokens else 0,
        "notes": list(entry.notes),
    }
