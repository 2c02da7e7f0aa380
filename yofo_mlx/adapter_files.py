"""Adapters as they lie on the disk, in mlx-lm's form: nothing is loaded, MLX is not imported."""

import json
import shlex
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from yofo_mlx import runs
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.files import digest, disk_error
from yofo_mlx.modelnames import is_folder, is_path
from yofo_mlx.recipe import Lora, Recipe
from yofo_mlx.runinfo import AdapterInfo, RunInfo
from yofo_mlx.runs import Run
from yofo_mlx.text import reason

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapters.safetensors"
TEMPLATE_FILE = "yofo_template.json"
PEFT_FILES = ("adapter_model.safetensors", "adapter_model.bin")


class Settings(NamedTuple):
    """What an adapter says of itself."""

    lora: Lora
    base: str  # the model it was trained on, as it was named there; may be empty


def check_files(folder: Path) -> None:
    """Refuse a folder without an adapter in mlx-lm's form."""
    if (folder / WEIGHTS_FILE).is_file() and (folder / CONFIG_FILE).is_file():
        return
    if any((folder / name).is_file() for name in PEFT_FILES):
        raise RunError(
            f"the adapter in {folder} is in PEFT's form, which MLX does not read",
            f"bring it into mlx-lm's form first: {WEIGHTS_FILE} and {CONFIG_FILE}",
        )
    raise RunError(
        f"there is no adapter in {folder}",
        f"an adapter is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}",
    )


def read_lora(folder: Path) -> Lora | None:
    """Return an adapter's shape, None for a model trained as a whole.

    ValueError and its like for settings that a recipe could not have: mlx-lm would take them and
    fail later.
    """
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    kind = config.get("fine_tune_type", "lora")
    if kind == "full":
        return None
    own = config["lora_parameters"]
    given = own | {"num_layers": config["num_layers"], "fine_tune_type": kind}
    given |= {name: own[name] for name in ("rank", "scale")}  # a default would not be the adapter's
    known = {name: value for name, value in given.items() if name in Lora.model_fields}
    try:
        return Lora.model_validate_json(json.dumps(known))
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(map(str, mistake["loc"]))
        raise ValueError(f"{CONFIG_FILE}: {place} {mistake['msg']}") from error


def read_settings(folder: Path) -> Settings:
    """Return the settings of an adapter that a run can begin with."""
    check_files(folder)
    try:
        lora = read_lora(folder)
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(
            f"the adapter in {folder} cannot be read: {reason(error)}",
            f"mend its {CONFIG_FILE}, or take another adapter",
        ) from error
    if lora is None:
        raise RunError(
            f"{folder} holds a model trained as a whole, not an adapter",
            "fuse it with mlx_lm.fuse, and name that as the recipe's model",
        )
    return Settings(lora, str(config.get("model") or ""))


def find_adapter(name: str, place: str) -> Path:
    """Return the folder of the adapter that `init_adapter` names: a run's, or one anywhere.

    `place`: what lies there by this name, where something does; it comes before a run's name.
    """
    folder = Path(place)
    if is_folder(place) and (folder / "recipe.toml").is_file():
        return _of_run(Run(folder))
    files = (CONFIG_FILE, WEIGHTS_FILE, *PEFT_FILES)
    if is_path(name) or (is_folder(place) and any((folder / one).is_file() for one in files)):
        return folder
    try:
        return _of_run(runs.find(name))
    except RecipeError as error:
        raise RecipeError(
            f"init_adapter: {error.message}",
            f"{error.hint}; or give a folder with {WEIGHTS_FILE} and {CONFIG_FILE}",
        ) from error


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
    except RunError as error:
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
