"""`yofo show`: what a recipe trains, before anything is trained."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yofo_mlx.episodes.batches import target_spans
from yofo_mlx.episodes.bounds import check_tables
from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.errors import ExitCode
from yofo_mlx.models.base import load_tokenizer, model_config, model_path
from yofo_mlx.planning.packing import settled
from yofo_mlx.planning.workload import Workload, make_workload
from yofo_mlx.preview.episode import Summary, pieces, summarize
from yofo_mlx.recipe.schema import Objective, Recipe
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import has_colour, say, say_next
from yofo_mlx.system.text import printable, shorten
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.training.beginning import check_fits, doubts

MOST_TASKS = 30
MOST_NAMES = 12
TARGET, CONTEXT, RESET = "\x1b[30;42m", "\x1b[2m", "\x1b[0m"


def show(request: RecipeRequest, *, step: int, as_json: bool) -> ExitCode:
    """Print one episode with its targets, and counts of everything."""
    recipe = request.load()
    entries = load_tasks(recipe.tasks, recipe.seed, Path.cwd(), request.data_name)
    path = model_path(recipe.model, recipe.revision, weights=False)
    config = model_config(path)
    tokenizer = load_tokenizer(path, config, trust_remote_code=recipe.trust_remote_code)
    check_tables(recipe, tokenizer, config)
    workload = make_workload(recipe, entries, tokenizer)
    check_fits(recipe)
    recipe, told = settled(recipe, config)
    notes = [*told, *doubts(recipe), *workload.protected.warnings(), *workload.unmeasured(recipe)]
    for message, hint in notes:
        say(f"warning: {printable(message)}\n  {printable(hint)}")
    episode = next(draw_passes(workload.sampler, recipe.train, step))[0]
    summary = summarize(workload, recipe)
    if as_json:
        print(json.dumps(_as_dict(workload, recipe, episode, summary)))
        return ExitCode.OK
    print(colored(episode, recipe.objective, tokenizer, color=has_colour(sys.stdout)))
    print(_facts(workload, recipe, episode, summary), flush=True)
    say_next(f"plan {request}")
    return ExitCode.OK


def colored(episode: Episode, objective: Objective, tokenizer: Any, *, color: bool) -> str:
    """Return an episode's text, targets on green; without colours they stand in [[ ]]."""
    before, after = (TARGET, RESET) if color else ("[[", "]]")
    parts = []
    for piece, is_target in pieces(episode, objective, tokenizer):
        text = printable(piece, keep="\n\t")
        if is_target:  # a line's end is one too: show it
            parts.append(before + text.replace("\n", "⏎") + after + "\n" * text.count("\n"))
        else:
            parts.append(f"{CONTEXT}{text}{RESET}" if color else text)
    return "".join(parts).rstrip("\n") + "\n"


def _facts(workload: Workload, recipe: Recipe, episode: Episode, summary: Summary) -> str:
    targets = sum(end - start for start, end in target_spans(episode, recipe.objective))
    lines = [
        f"this episode: task {printable(episode.task)}, {plural(episode.shots, 'shot')},"
        f" {plural(len(episode.tokens), 'token')}, {plural(targets, 'target')}",
        f"mean of the first {plural(summary.updates, 'update')}: {summary.tokens:.0f} tokens,"
        f" {summary.shots:.1f} shots, {summary.targets:.0f} targets"
        f" ({100 * summary.target_share:.1f}% of the tokens); longest {summary.longest}",
        "",
    ]
    if recipe.train.batch_tokens:
        per_update = summary.episodes_per_update
        lines[-1:] = [
            f"an update: {per_update:.1f} episodes, {per_update * summary.tokens:.0f} tokens,"
            f" {_layout(recipe, summary)}",
            "",
        ]
    if episode.beside:
        lines[1:1] = [_beside(episode)]
    if episode.renamed:
        lines[1:1] = [_renamed(episode)]
    if recipe.dtype != "auto":
        lines[-1:] = [f"computes in {recipe.dtype}", ""]
    if recipe.init_adapter:
        lines[-1:] = [f"begins with the adapter in {printable(recipe.init_adapter)}", ""]
    rows = _task_rows(workload, recipe)
    names = ["task", *(printable(row["task"]) for row in rows[:MOST_TASKS])]
    width = max(map(len, names)) + 2
    lines.append(
        f"{'task':<{width}}{'role':<10}{'family':<25}{'train':>7}{'query':>7}{'left out':>10}"
    )
    lines += [
        f"{printable(row['task']):<{width}}{row['role']:<10}{_family(row):<25}"
        f"{row['train']:>7}{row['queries']:>7}{row['left_out']:>10}"
        for row in rows[:MOST_TASKS]
    ]
    if len(rows) > MOST_TASKS:
        lines.append(f"and {len(rows) - MOST_TASKS} more tasks (all of them with --json)")
    lines += [printable(note) for entry in workload.entries for note in entry.notes]
    return "\n".join(lines)


def _beside(episode: Episode) -> str:
    alone = sum(one.kind == "zero_shot" for one in episode.beside)
    told = [f"{plural(alone, 'answer')} without demonstrations"] if alone else []
    if others := len(episode.beside) - alone:
        told.append(f"itself {plural(others, 'time')} with another last answer")
    more = plural(episode.size - len(episode.tokens), "more token")
    return f"read beside it: {' and '.join(told)}, {more}"


def _layout(recipe: Recipe, summary: Summary) -> str:
    """Say how the episodes of an update are laid out."""
    if recipe.train.packed:
        return f"packed into {summary.rows_per_update:.1f} rows, each episode read as if alone"
    return f"and {100 * summary.padding:.1f}% more as padding"


def _renamed(episode: Episode) -> str:
    names = list(episode.renamed.items())
    words = [f"{shorten(label, 40)} is {word}" for label, word in names[:MOST_NAMES]]
    words += [f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return f"its labels are arbitrary words, without instruction: {', '.join(words)}"


def _family(row: dict[str, Any]) -> str:
    return f"{row['family']} (guessed)" if row["guessed"] else str(row["family"])


def _task_rows(workload: Workload, recipe: Recipe) -> list[dict[str, Any]]:
    left_out = {pool.task: pool.left_out for pool in workload.pools}
    left_out |= {entry.task.name: workload.too_long(recipe, entry) for entry in workload.held_out}
    return [
        {
            "task": entry.task.name,
            "role": entry.role,
            "family": entry.task.family,
            "guessed": entry.guessed,
            "train": len(entry.task.train),
            "queries": len(entry.task.test or entry.task.valid),
            "left_out": left_out[entry.task.name],
        }
        for entry in workload.entries
    ]


def _as_dict(
    workload: Workload, recipe: Recipe, episode: Episode, summary: Summary
) -> dict[str, Any]:
    return {
        "episode": {
            "task": episode.task,
            "tokens": episode.tokens,
            "targets": target_spans(episode, recipe.objective),
            "shots": episode.shots,
            "renamed": episode.renamed,
        },
        "mean": asdict(summary),
        "init_adapter": recipe.init_adapter,
        "tasks": _task_rows(workload, recipe),
    }
