"""The adapter that a run begins with: found by its name, of the recipe's shape, kept in mind."""

import json
import shlex
from pathlib import Path

from yofo_mlx.errors import RecipeError, RunError, YofoError
from yofo_mlx.models.adapter_files import CONFIG_FILE, WEIGHTS_FILE, folder_of, read_settings
from yofo_mlx.models.peft_files import is_peft
from yofo_mlx.recipe.names import is_file, is_folder, is_path
from yofo_mlx.recipe.schema import Lora, Recipe
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import AdapterInfo, RunInfo
from yofo_mlx.system.files import digest, disk_error


def find_adapter(name: str, place: str) -> Path:
    """Return the folder of the adapter that `init_adapter` names: a run's, or one anywhere.

    `place`: what lies there by this name, where something does; it comes before a run's name.
    """
    folder = Path(place)
    if is_folder(place) and (folder / "recipe.toml").is_file():
        return _of_run(Run(folder))
    files = (CONFIG_FILE, WEIGHTS_FILE)
    is_adapter = is_peft(folder) or any(is_file(str(folder / one)) for one in files)
    if is_path(name) or (is_folder(place) and is_adapter):
        return _converted(place)
    try:
        return _of_run(listing.find(name))
    except RecipeError as error:
        raise RecipeError(
            f"init_adapter: {error.message}",
            f"{error.hint}; or give a folder with {WEIGHTS_FILE} and {CONFIG_FILE}",
        ) from error


def _converted(place: str) -> Path:
    try:
        return folder_of(place)
    except YofoError as error:
        raise RecipeError(f"init_adapter: {error.message}", error.hint) from error


def _of_run(run: Run) -> Path:
    if not (run.adapter_path / WEIGHTS_FILE).is_file():
        raise RecipeError(
            f"init_adapter: run {run.run_id} has no adapter yet",
            "wait for its first validation or its end, or name another run",
        )
    return run.adapter_path


def shape_of(folder: Path, asked: Lora) -> Lora:
    """Return the shape of an adapter to begin with, refused where the recipe has another one.

    What the recipe does not say is the adapter's; dropout is no part of the shape.
    """
    try:
        own = read_settings(folder).lora
    except YofoError as error:
        raise RecipeError(f"init_adapter: {error.message}", error.hint) from error
    names = [name for name in Lora.model_fields if name in asked.model_fields_set - {"dropout"}]
    wrong = [name for name in names if _as_set(getattr(asked, name)) != _as_set(getattr(own, name))]
    if wrong:
        words = [f"lora.{n} is {_shown(asked, n)}, there it is {_shown(own, n)}" for n in wrong]
        own_values = " ".join(shlex.quote(f"--set=lora.{n}={_shown(own, n)}") for n in wrong)
        raise RecipeError(
            f"the adapter in {folder} is of another shape: {'; '.join(words)}",
            f"take its own: {own_values}; or begin without init_adapter",
        )
    return own.model_copy(update={name: getattr(asked, name) for name in asked.model_fields_set})


def _shown(lora: Lora, name: str) -> str:
    return json.dumps(getattr(lora, name))


def _as_set(value: object) -> object:
    return frozenset(value) if isinstance(value, tuple) else value


def provenance(recipe: Recipe) -> dict[str, AdapterInfo]:
    """Return the field of run.json that says which adapter a run begins with, if with one."""
    if recipe.init_adapter is None:
        return {}
    folder = Path(recipe.init_adapter)
    base = read_settings(folder).base
    try:
        return {
            "init_adapter": AdapterInfo(
                path=str(folder), sha256=digest(folder / WEIGHTS_FILE), base=base
            )
        }
    except OSError as error:
        raise disk_error(error, folder) from error


def check_same(info: RunInfo, recipe: Recipe) -> None:
    """Refuse to begin with an adapter that is no longer the one that the run was made with."""
    now = provenance(recipe).get("init_adapter")
    if now and info.init_adapter and now.sha256 != info.init_adapter.sha256:
        raise RunError(
            f"the adapter in {now.path} has changed since the run was made, which has not begun",
            "put it back, or train the recipe anew to begin with what is there now",
        )
