"""What a recipe trains: an episode with its targets, its tasks, means over the first updates."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from yofo_mlx.episodes.batches import target_spans
from yofo_mlx.episodes.bounds import check_tables
from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.episodes.sampler import Episode, tokenize_all
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.models.base import model_config, model_path
from yofo_mlx.planning.volume import draw
from yofo_mlx.planning.workload import Workload, make_workload
from yofo_mlx.preview.plan import Drawn, as_trained, forecast, tokenizer_of
from yofo_mlx.recipe.schema import Objective, Recipe, TaskSource
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.system.text import clip
from yofo_mlx.tasks.checks import check_names
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.registry import TaskEntry, is_embedded, load_tasks

SAMPLED_UPDATES, SAMPLED_EPISODES = 50, 2000
SHOWN = 6000  # characters of an episode
KEPT = 16  # sources that stay read
MEASURED = 2000  # examples of a held-out task; the rest is taken to be like them


@dataclass(frozen=True)
class Summary:
    """Means over the episodes of a run's first updates."""

    updates: int
    episodes_per_update: float
    padding: float  # tokens of it for each token
    rows_per_update: float  # in which its episodes stand
    tokens: float
    targets: float
    target_share: float
    shots: float
    longest: int


def episode(
    data: dict[str, Any], folder: str = ".", step: int = 0, fetch: bool = False
) -> dict[str, Any]:
    """Return the forecast of a recipe as it is parsed with its data read, and an episode of it.

    `folder`: what its paths are relative to. `step`: the update whose first episode is shown.
    `fetch`: read also what lies on the hub. What cannot be read is told of its source.
    """
    recipe = resolve(data, "the recipe", Path(folder))
    trained, _ = as_trained(recipe)  # the forecast tells what that changes
    found = [_read(source, recipe.seed, fetch) for source in recipe.tasks]
    entries = [entry for tasks, _ in found for entry in tasks]
    wrong = [str(one) for one in check_names([entry.task.name for entry in entries])]
    drawn = Drawn()
    if not wrong and not any(told for _, told in found):
        model = model_path(recipe.model, recipe.revision, weights=False)
        tokenizer = tokenizer_of(recipe, model)
        check_tables(recipe, tokenizer, model_config(model))
        workload = make_workload(recipe, entries, tokenizer)
        drawn = Drawn(workload, draw(trained, workload))
    rows = [
        _row(place, source, tasks, drawn.workload, recipe) | told
        for place, (source, (tasks, told)) in enumerate(zip(recipe.tasks, found, strict=True))
    ]
    shown = _shown(trained, drawn.workload, step) if drawn.workload else {}
    return {"plan": forecast(recipe, drawn), "sources": rows, "wrong": wrong, **shown}


def _read(source: TaskSource, seed: int, fetch: bool) -> tuple[list[TaskEntry], dict[str, Any]]:
    """Read a source, or tell why not."""
    if not fetch and _is_far(source):
        return [], {"state": "on the hub"}
    try:
        return list(_tasks(source.model_dump_json(), seed)), {}
    except YofoError as error:
        return [], {"state": "wrong", "why": [error.message, error.hint]}


@lru_cache(maxsize=KEPT)
def _tasks(source: str, seed: int) -> tuple[TaskEntry, ...]:
    """Read a source once, while other keys of the recipe are tried."""
    return tuple(load_tasks([TaskSource.model_validate_json(source)], seed, Path.cwd()))


def _is_far(source: TaskSource) -> bool:
    """Tell whether a source is to be had from the hub only."""
    if is_embedded(source) or locate.is_pattern(source.source):
        return False
    try:
        return locate.find(source.source, Path.cwd()) is None
    except DataError:
        return False


def _shown(recipe: Recipe, workload: Workload, step: int) -> dict[str, Any]:
    first = next(draw_passes(workload.sampler, recipe.train, step))[0]
    told = {
        "task": first.task,
        "shots": first.shots,
        "tokens": len(first.tokens),
        "targets": sum(end - start for start, end in target_spans(first, recipe.objective)),
        "renamed": dict(first.renamed),
        "pieces": _clipped(pieces(first, recipe.objective, workload.tokenizer)),
    }
    return {"episode": told, "mean": asdict(summarize(workload, recipe))}


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
    packed = recipe.train.packed
    updates = padded = read = count = 0
    while updates < SAMPLED_UPDATES and len(episodes) < SAMPLED_EPISODES:
        for rows in draw_passes(workload.sampler, recipe.train, updates):
            episodes += [row for row in rows if row.kind == "own"]
            lengths = [len(row.tokens) for row in rows]
            read += sum(lengths)
            padded += sum(lengths) if packed else len(rows) * max(lengths)
            count += 1 if packed else len(rows)
        updates += 1
    tokens = np.array([len(one.tokens) for one in episodes])
    targets = np.array(
        [sum(end - start for start, end in target_spans(e, recipe.objective)) for e in episodes]
    )
    return Summary(
        updates=updates,
        episodes_per_update=len(episodes) / updates,
        padding=padded / read - 1,
        rows_per_update=count / updates,
        tokens=float(tokens.mean()),
        targets=float(targets.mean()),
        target_share=float(targets.sum() / tokens.sum()),
        shots=float(np.mean([one.shots for one in episodes])),
        longest=int(tokens.max()),
    )


def _row(
    place: int,
    source: TaskSource,
    entries: list[TaskEntry],
    workload: Workload | None,
    recipe: Recipe,
) -> dict[str, Any]:
    """Return what a source has: tasks, rows, tokens, and how many rows an episode can show."""
    sizes = [_size(workload, recipe, entry) for entry in entries] if workload else []
    name = entries[0].task.name if len(entries) == 1 else source.name or source.source
    return {
        "place": place,
        "name": name,
        "role": source.role,
        "tasks": len(entries),
        "rows": sum(len(entry.task.train) for entry in entries),
        "tokens": sum(tokens for tokens, _ in sizes) if sizes else None,
        "shots": max(shots for _, shots in sizes) if sizes else None,
        "notes": [note for entry in entries for note in entry.notes],
        "state": "read",
    }


def _size(workload: Workload, recipe: Recipe, entry: TaskEntry) -> tuple[int, int]:
    """Return the tokens of a task's examples, and how many of them an episode can show."""
    pool = next((one for one in workload.pools if one.task == entry.task.name), None)
    if pool is not None:
        lengths = pool.demonstrations.lengths[1]
        rows, tokens, opening = len(lengths), int(lengths.sum()), len(pool.opening)
    else:
        segmenter = Segmenter(workload.tokenizer, recipe.template, entry.task.instruction)
        some, rows = entry.task.train[:MEASURED], len(entry.task.train)
        measured = sum(map(len, tokenize_all(segmenter, some)))
        tokens, opening = round(measured / max(len(some), 1) * rows), len(segmenter.opening)
    room = recipe.episodes.max_tokens - opening
    return tokens, min(rows, int(room * rows / tokens)) if tokens else 0
