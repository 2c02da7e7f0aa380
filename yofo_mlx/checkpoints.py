"""Checkpoints: everything that the next step depends on."""

import json
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from yofo_mlx.adapters import WEIGHTS_FILE, adapter_weights, save_adapter
from yofo_mlx.errors import RunError
from yofo_mlx.files import new_folder
from yofo_mlx.recipe import Recipe
from yofo_mlx.runs import Run

OPTIMIZER_FILE = "optimizer_state.safetensors"
STATE_FILE = "trainer_state.json"


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


def save_checkpoint(
    run: Run, model: Any, optimizer: Any, state: TrainerState, recipe: Recipe
) -> Path:
    """Write `checkpoints/<step>/` as a whole and remove the oldest ones."""
    run.checkpoints_path.mkdir(exist_ok=True)
    path = run.checkpoints_path / f"{state.step:07d}"
    arrays = dict(tree_flatten({"optimizer": optimizer.state}))
    with new_folder(path) as folder:
        save_adapter(folder, model, recipe.lora, recipe.model)
        mx.save_safetensors(str(folder / OPTIMIZER_FILE), arrays)
        (folder / STATE_FILE).write_text(json.dumps(asdict(state), indent=2) + "\n")
    for old in list_checkpoints(run)[recipe.train.keep_checkpoints :]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def load_checkpoint(path: Path, model: Any, optimizer: Any) -> TrainerState:
    """Put adapter and optimizer state back, and return where the run stood."""
    try:
        weights = _load(path / WEIGHTS_FILE)
        arrays = _load(path / OPTIMIZER_FILE)
        values = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        state = TrainerState(**{field.name: values[field.name] for field in fields(TrainerState)})
        if not all(isinstance(v, int | float | None) for v in asdict(state).values()):
            raise ValueError(f"{STATE_FILE} holds something else than numbers")
        if _shapes(arrays) != _shapes(dict(tree_flatten({"optimizer": optimizer.state}))):
            raise ValueError("its optimizer state is of another recipe")
        if _shapes(weights) != _shapes(adapter_weights(model)):
            raise ValueError("its adapter has another shape than the recipe's")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise RunError(
            f"checkpoint {path} cannot be read: {error}",
            "remove that folder to resume from the checkpoint before it",
        ) from error
    model.load_weights(list(weights.items()), strict=False)
    optimizer.state = tree_unflatten(list(arrays.items()))["optimizer"]
    mx.eval(model.parameters(), optimizer.state)
    return state


def _shapes(arrays: dict[str, mx.array]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape) for name, array in arrays.items()}


def _load(path: Path) -> dict[str, mx.array]:
    arrays = mx.load(str(path))
    assert isinstance(arrays, dict)
    return arrays


def list_checkpoints(run: Run) -> list[Path]:
    """Return whole checkpoints, newest first."""
    if not run.checkpoints_path.is_dir():
        return []
    named = [path for path in run.checkpoints_path.iterdir() if path.name.isdecimal()]
    return sorted((path for path in named if (path / STATE_FILE).is_file()), reverse=True)


def keep_best(run: Run, model: Any, recipe: Recipe) -> None:
    """Make the adapter on `model` the run's adapter."""
    with new_folder(run.adapter_path) as folder:
        save_adapter(folder, model, recipe.lora, recipe.model)
