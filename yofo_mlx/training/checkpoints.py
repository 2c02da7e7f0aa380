"""Checkpoints: everything that the next step depends on."""

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from yofo_mlx.errors import RunError
from yofo_mlx.models.adapters import WEIGHTS_FILE, adapter_weights, save_adapter
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.arrays import load_arrays, save_arrays
from yofo_mlx.system.files import (
    digest,
    new_folder,
    patiently,
    remove_leftovers,
    replacing,
    sync_folder,
)
from yofo_mlx.system.text import reason

OPTIMIZER_FILE = "optimizer_state.safetensors"
STATE_FILE = "trainer_state.json"
STATE = "optimizer"  # first part of its arrays' names
SET_ASIDE = "-unreadable"


@dataclass
class TrainerState:
    """Where a run stands.

    `step` is also the position in the data and in randomness: both are functions of (seed, step).
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_loss: float | None = None
    best_step: int = 0
    bad_evals: int = 0
    validated_step: int = 0
    events_bytes: int = 0  # length of the event stream


def save_checkpoint(
    run: Run, model: Any, optimizer: Any, state: TrainerState, recipe: Recipe
) -> Path:
    """Write `checkpoints/<step>/` as a whole and remove the oldest ones."""
    path = run.checkpoint_path(state.step)

    def write() -> None:
        if not run.checkpoints_path.exists():
            run.checkpoints_path.mkdir()
            sync_folder(run.path)
        with new_folder(path) as folder:  # appears whole, or not at all
            save_adapter(folder, model, recipe.lora, recipe.model, recipe.template)
            arrays = dict(tree_flatten({STATE: optimizer.state}))
            save_arrays(folder / OPTIMIZER_FILE, arrays)
            sums = {name: digest(folder / name) for name in (WEIGHTS_FILE, OPTIMIZER_FILE)}
            content = asdict(state) | {"sha256": sums}
            text = json.dumps(content | {"sha256_of_this": _hash(content)}, indent=2)
            (folder / STATE_FILE).write_text(text + "\n", encoding="utf-8")

    patiently(write, f"checkpoint {path.name}")
    for old in list_checkpoints(run)[recipe.train.keep_checkpoints :]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def resume_newest(run: Run, model: Any, optimizer: Any) -> tuple[TrainerState | None, list[str]]:
    """Put the newest readable checkpoint back; return where the run stood, and what was unreadable.

    Without any checkpoint there is no state; if there are some and none can be read, that is an
    error. What cannot be read is set aside under another name, once one before it was.
    """
    for folder in (run.path, run.checkpoints_path, run.adapter_path):
        remove_leftovers(folder)
    unreadable: dict[Path, str] = {}
    for path in list_checkpoints(run):
        try:
            state = load_checkpoint(path, model, optimizer)
        except Damaged as error:
            unreadable[path] = error.message
            continue
        for damaged in unreadable:  # not before another was read: nothing is moved in vain
            damaged.rename(_free_name(damaged))
        return state, list(unreadable.values())
    if unreadable:
        raise RunError(
            "; ".join(unreadable.values()),
            f"no other is left; remove {run.checkpoints_path} to begin at step 0",
        )
    return None, []


class Damaged(RunError):
    """A checkpoint that is not what was written."""


def load_checkpoint(path: Path, model: Any, optimizer: Any) -> TrainerState:
    """Put adapter and optimizer state back, and return where the run stood.

    Raises Damaged for what will never be readable; any other error says nothing about the
    checkpoint: the disk or the memory may be better another time.
    """
    state = read_state(path)
    weights, arrays = load_arrays(path / WEIGHTS_FILE), load_arrays(path / OPTIMIZER_FILE)
    as_now = _shapes(adapter_weights(model)), _shapes(dict(tree_flatten({STATE: optimizer.state})))
    if (_shapes(weights), _shapes(arrays)) != as_now:
        raise RunError(
            f"checkpoint {path} is of another recipe: its arrays have other shapes",
            "restore the recipe.toml or run.json that the run began with",
        )
    model.load_weights(list(weights.items()), strict=False)
    optimizer.state = tree_unflatten(list(arrays.items()))[STATE]
    mx.eval(model.parameters(), optimizer.state)
    return state


def read_state(path: Path) -> TrainerState:
    """Return where a run stood at a checkpoint, every file of which is as it was written."""
    try:
        values = _checked(path)
        return TrainerState(**{field.name: values[field.name] for field in fields(TrainerState)})
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Damaged(
            f"checkpoint {path} cannot be read: {reason(error)}",
            "remove that folder to resume from the checkpoint before it",
        ) from error


def newest_state(run: Run) -> TrainerState:
    """Return where a run stands that goes on: at its newest readable checkpoint, or its start."""
    for path in list_checkpoints(run):
        with suppress(Damaged):
            return read_state(path)
    return TrainerState()


def _checked(path: Path) -> dict[str, Any]:
    """Return what `trainer_state.json` holds, after a look at every file's checksum."""
    values: dict[str, Any] = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
    wrong = [name for name, known in values["sha256"].items() if digest(path / name) != known]
    if values.pop("sha256_of_this") != _hash(values):
        wrong.append(STATE_FILE)
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is not what was written")
    return values


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _shapes(arrays: dict[str, mx.array]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape) for name, array in arrays.items()}


def _free_name(path: Path) -> Path:
    names = [f"{path.name}{SET_ASIDE}{number or ''}" for number in range(1000)]
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def list_checkpoints(run: Run) -> list[Path]:
    """Return whole checkpoints, newest first."""
    if not run.checkpoints_path.is_dir():
        return []
    named = [path for path in run.checkpoints_path.iterdir() if path.name.isdecimal()]
    whole = [path for path in named if (path / STATE_FILE).is_file()]
    return sorted(whole, key=lambda path: int(path.name), reverse=True)


def keep_best(run: Run, model: Any, recipe: Recipe) -> None:
    """Make the adapter on `model` the run's adapter; there is a whole one at every moment."""

    def write() -> None:
        if not run.adapter_path.exists():
            with new_folder(run.adapter_path) as folder:
                save_adapter(folder, model, recipe.lora, recipe.model, recipe.template)
            return
        with replacing(run.adapter_path / WEIGHTS_FILE) as temporary:  # its config stays the same
            save_arrays(temporary, adapter_weights(model))

    patiently(write, "the adapter")
