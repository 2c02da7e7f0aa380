"""All that is known of one run, however damaged its folder is; no model is loaded, no hub asked."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.evaluation import archive
from yofo_mlx.recipe.file import read_toml, validate
from yofo_mlx.recipe.names import EMBEDDED, is_file, is_folder, is_gguf, is_on_hub
from yofo_mlx.recipe.schema import Recipe, TaskSource
from yofo_mlx.runs.events import FINAL_KINDS, Event, figure, last_event, seconds_of
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import RunInfo, TaskInfo
from yofo_mlx.runs.trained import trained
from yofo_mlx.system import paths
from yofo_mlx.system.files import size_of
from yofo_mlx.system.text import reason
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.sources import default_name

_NOWHERE = Path(os.devnull)  # a recipe's paths are absolute; what is relative is an id

Facts = dict[str, Any]


def overview(run: Run) -> Facts:
    """Return what a run is, learnt from and left behind."""
    info, recipe = run.info(), recipe_of(run)
    return {
        "number": info.number,
        "command": info.command,
        "recipe": {} if recipe is None else differing(recipe),
        "recipe_path": str(run.recipe_path),
        "tasks": [] if recipe is None else list(_tasks(recipe, info)),
        "base": _base(recipe, info),
        "training": _training(run, recipe),
        "evaluations": [asdict(one) | {"path": str(one.path)} for one in archive.listed(run)],
        "disk": _disk(run),
        "notes": list(_notes(run, info)),
    }


def recipe_of(run: Run) -> Recipe | None:
    """Return the recipe that a run began with, None if none can be read."""
    try:
        return validate(run.info().recipe or read_toml(run.recipe_path), str(run.path))
    except YofoError:
        return None


def differing(recipe: Recipe) -> dict[str, Any]:
    """Return by dotted key what a recipe says otherwise than by default, but for its data."""
    found = recipe.model_dump(mode="json", exclude_defaults=True)
    for key in ("description", "model", "revision"):
        found.pop(key, None)
    for task in found["tasks"]:
        for key in ("source", "role"):
            task.pop(key, None)
    return dict(_flat(found))


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    inner: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        inner = enumerate(value)
    if not inner and not isinstance(value, dict):
        yield key, value
    for name, one in inner:
        yield from _flat(one, f"{key}.{name}" if key else str(name))


def _tasks(recipe: Recipe, info: RunInfo) -> Iterator[Facts]:
    """Yield each task with its examples, and whether its data are those that were trained on."""
    known, left = info.tasks or {}, dict(info.data or {})
    for source in recipe.tasks:
        shared = {"role": source.role, "source": source.source}
        for name, task, state in _read(source, recipe.seed, info.data or {}):
            left.pop(name, None)
            yield {"name": name} | shared | _sizes(task or known.get(name)) | state
    for name in left:
        role = known[name].role if name in known else None
        sizes = _sizes(known.get(name))
        yield {"name": name, "role": role, "source": None} | sizes | {"state": "missing"}


def _read(
    source: TaskSource, seed: int, kept: dict[str, str]
) -> Iterator[tuple[str, TaskInfo | None, dict[str, str]]]:
    """Yield the tasks of a source: name, figures, and whether they are as they were."""
    name = source.name or default_name(source)
    try:
        if _is_on_hub(source):
            yield name, None, {"state": "on the hub"}
            return
        entries = load_tasks([source], seed, _NOWHERE)
    except (YofoError, OSError) as error:
        state = "missing" if _is_gone(source) else "unreadable"
        yield name, None, {"state": state, "why": reason(error)}
        return
    for entry in entries:
        state = _state(kept, entry.task.name, entry.fingerprint)
        yield entry.task.name, TaskInfo.of(entry), {"state": state}


def _state(kept: dict[str, str], name: str, now: str) -> str:
    if not kept:
        return "not read yet"
    before = kept.get(name)
    return "new" if before is None else "as trained" if before == now else "changed"


def _is_on_hub(source: TaskSource) -> bool:
    if source.source.startswith(f"{EMBEDDED}:") or locate.is_pattern(source.source):
        return False
    return locate.find(source.source, _NOWHERE) is None


def _is_gone(source: TaskSource) -> bool:
    if locate.is_pattern(source.source):
        return not locate.matches(source.source, _NOWHERE)
    try:
        return locate.find(source.source, _NOWHERE) is None
    except DataError:
        return True


def _sizes(task: TaskInfo | None) -> dict[str, int | None]:
    return {split: getattr(task, split, None) for split in ("train", "valid", "test")}


def _base(recipe: Recipe | None, info: RunInfo) -> Facts:
    """Return which model was trained, and whether it is where it was."""
    if (model := info.model) is None:
        facts: Facts = dict.fromkeys(("name", "revision", "path", "there"))
        if recipe is not None:
            facts |= {"name": recipe.model, "revision": recipe.revision}
        return facts
    is_file_there = is_gguf(model.name) and is_file(model.name)
    there = None if is_on_hub(model.name) else is_file_there or is_folder(model.path)
    return {"name": model.name, "revision": model.revision, "path": model.path, "there": there}


def _training(run: Run, recipe: Recipe | None) -> Facts:
    """Return how far a run is, and how long its steps took in all."""
    newest: dict[str, Event] = {}
    best: Event | None = None
    seconds, warnings = 0.0, 0
    for event in run.events():
        newest[event["kind"]] = event
        if event["kind"] == "step":
            seconds += seconds_of(event)
        warnings += event["kind"] == "warning"
        if event["kind"] == "eval" and event.get("best") is True:
            best = event
    started, step, finished = (newest.get(kind) for kind in ("started", "step", "finished"))
    end = last if (last := last_event(run.events_path)) and last["kind"] in FINAL_KINDS else None
    return {
        "steps": figure(step, "step") or 0.0,
        "planned_steps": recipe.train.steps if recipe else figure(started, "steps"),
        "planned_tokens": recipe.train.tokens if recipe else figure(started, "tokens"),
        "tokens": figure(step, "total_tokens") or 0.0,
        "seconds": (figure(end, "seconds") if end == finished else None) or seconds,
        "ended": figure(end, "t"),
        "reason": str(end.get("reason", "")) if end else "",
        "loss": figure(step, "loss"),
        "peak_gb": figure(step, "peak_gb"),
        "footprint_gb": figure(step, "footprint_gb"),
        "best_loss": figure(best, "loss"),
        "best_step": figure(best, "step"),
        "adapter_step": figure(best or step, "step") if run.adapter_path.is_dir() else None,
        "warnings": warnings,
    }


def _disk(run: Run) -> Facts:
    """Return the bytes of a run's folder by what they are for, and those of its prompt caches."""
    parts = {
        "checkpoints": size_of(run.checkpoints_path),
        "adapter": size_of(run.adapter_path),
        "evaluations": size_of(run.evaluations_path),
    }
    total, caches = size_of(run.path.resolve()), _prompt_caches(run)
    return parts | {
        "other": total - sum(parts.values()),
        "total": total,
        "prompt_caches": {str(path): size_of(path) for path in caches},
    }


def _prompt_caches(run: Run) -> list[Path]:
    if not (run.adapter_path.is_dir() and any(paths.prompts().glob("*"))):
        return []
    from yofo_mlx.prompting.cache_file import saved_for  # MLX reads them

    return saved_for(paths.prompts(), run.adapter_path)


def _notes(run: Run, info: RunInfo) -> Iterator[str]:
    try:
        yield from (f"{message}; {hint}" for message, hint in trained(run).notes)
    except YofoError as error:
        yield f"{error.message}; {error.hint}"
    start = (info.recipe or {}).get("init_adapter")
    if isinstance(start, str):
        gone = "" if is_folder(start) else ", which is not there now"
        yield f"begun from the adapter {start}{gone}"
    for change in archive.objects(info.model_dump().get("extended")):
        unit, before, after = (change.get(key) for key in ("unit", "before", "after"))
        date = str(change.get("date"))[:16].replace("T", " ")
        yield f"{after} {unit} since {date}, {before} before"
