"""Adapters as they lie on the disk, in mlx-lm's form: nothing is loaded, MLX is not imported."""

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.models.peft_files import converted, is_peft
from yofo_mlx.recipe.names import is_file
from yofo_mlx.recipe.schema import Lora
from yofo_mlx.system.text import reason

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapters.safetensors"
TRAINED = "trained"  # which of a model's own weights: mlx-lm takes any by its `full`


class AdapterSettings(NamedTuple):
    """What an adapter says of itself."""

    lora: Lora
    base: str  # the model it was trained on, as it was named there; may be empty


def folder_of(name: str) -> Path:
    """Return the folder that the path of an adapter names, from where we are; PEFT's converted."""
    try:
        folder = Path(name).expanduser().absolute()
    except RuntimeError as error:  # the home of nobody
        raise RecipeError(f"{name}: {reason(error)}", "check the path") from error
    if is_peft(folder) and not is_file(str(folder / WEIGHTS_FILE)):
        return converted(folder)
    return folder


def check_files(folder: Path) -> None:
    """Refuse a folder without an adapter in mlx-lm's form."""
    if (folder / WEIGHTS_FILE).is_file() and (folder / CONFIG_FILE).is_file():
        return
    raise RecipeError(
        f"there is no adapter in {folder}",
        f"an adapter is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}",
    )


def stamp(folder: Path) -> tuple[int, ...]:
    """Return what is another one where an adapter's files are other ones; () without any."""
    numbers: list[int] = []
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        with suppress(OSError):
            found = (folder / name).stat()
            numbers += (found.st_size, found.st_mtime_ns)
    return tuple(numbers)


def read_lora(folder: Path) -> Lora | None:
    """Return an adapter's shape, None for a model trained as a whole.

    ValueError and its like for settings that a recipe could not have: mlx-lm would take them and
    fail later.
    """
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    kind = config.get("fine_tune_type", "lora")
    if kind == "full" and config.get(TRAINED) == "bitfit":
        kind = "bitfit"
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


def is_whole_model(folder: Path) -> bool:
    """Tell whether a folder says that its weights stand for all of the model's."""
    try:
        return read_lora(folder) is None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False  # what is wrong is told where it is loaded


def is_partial(folder: Path) -> bool:
    """Tell whether modules without weights are meant to change nothing, as fresh ones do."""
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    return bool(config.get("partial"))


def read_settings(folder: Path) -> AdapterSettings:
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
    return AdapterSettings(lora, str(config.get("model") or ""))
