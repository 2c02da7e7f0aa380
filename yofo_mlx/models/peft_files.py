"""Adapters of PEFT's form, brought into mlx-lm's: LoRA, DoRA and (IA)3 on linear layers.

PEFT computes B A x s with A (r, in) and s = alpha / r, or alpha / sqrt(r) of a rank-stabilised one;
mlx-lm x A B scale with A (in, r), and one rank and scale for all: shorter ranks get zeros behind,
other scales go into B. Modules that PEFT left out have no weights: a fresh adapter changes nothing.
"""

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yofo_mlx.errors import RunError
from yofo_mlx.models.layer_names import ends_feed_forward
from yofo_mlx.recipe.names import is_file
from yofo_mlx.recipe.template import TEMPLATE_FILE
from yofo_mlx.system import paths
from yofo_mlx.system.files import digest, disk_error, new_folder
from yofo_mlx.system.text import reason

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]

WEIGHTS_FILE = "adapter_model.safetensors"
PICKLED = "adapter_model.bin"
CONFIG_FILE = "adapter_config.json"
_PLACE = re.compile(
    r"(?:base_model\.model\.)?(?P<layer>.*\blayers\.\d+)\.(?P<key>.+?)"
    r"\.(?P<half>lora_A|lora_B|lora_magnitude_vector|ia3_l)(?:\.default)?(?:\.weight)?"
)
# Settings that mean another computation, and what they must be.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "bias": ("none", None),
    "modules_to_save": (None, []),
    "fan_in_fan_out": (False, None),
    "layer_replication": (None, []),
    "trainable_token_indices": (None, []),
    "alora_invocation_tokens": (None, []),
    "target_parameters": (None, []),
}


def is_peft(folder: Path) -> bool:
    """Tell whether a folder holds an adapter of PEFT's form."""
    return any(is_file(str(folder / name)) for name in (WEIGHTS_FILE, PICKLED))


def converted(folder: Path) -> Path:
    """Return a folder with the adapter in mlx-lm's form, made once for each content."""
    weights, settings = folder / WEIGHTS_FILE, folder / CONFIG_FILE
    if not weights.is_file():
        raise _refused(
            folder, f"its weights are pickled ({PICKLED}), and a pickle can run anything"
        )
    try:
        template = folder / TEMPLATE_FILE
        mark = digest(weights)[:16] + digest(settings)[:8]
        if template.is_file():
            mark += digest(template)[:8]
        made = paths.adapters() / f"{folder.name}-{mark}"
        if not made.is_dir():
            made.parent.mkdir(parents=True, exist_ok=True)
            with new_folder(made) as fresh:
                _convert(folder, fresh)
                if template.is_file():
                    shutil.copyfile(template, fresh / TEMPLATE_FILE)
        return made
    except FileNotFoundError as error:
        raise _refused(folder, f"it has no {CONFIG_FILE}") from error
    except OSError as error:
        raise disk_error(error, folder, "the same command") from error
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise _refused(folder, reason(error)) from error


def _refused(folder: Path, why: str) -> RunError:
    return RunError(
        f"the PEFT adapter in {folder} cannot be used: {why}",
        "save it as safetensors, LoRA, DoRA or (IA)3 of linear layers; or fuse it into its base",
    )


Places = dict[str, re.Match[str]]


def _convert(folder: Path, out: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    settings = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    _check(settings)
    given = _read(folder / WEIGHTS_FILE)
    found = {name: _PLACE.fullmatch(name) for name in given}
    places = {name: place for name, place in found.items() if place}
    if other := [name for name in given if name not in places]:
        raise ValueError(f"{other[0]} is no part of a linear layer's adapter")
    if settings["peft_type"] == "IA3":
        kind, arrays, own = "ia3", _scales(given, places), {"rank": 1, "scale": 1.0}
    else:
        kind = "dora" if settings.get("use_dora") else "lora"
        arrays, own = _halves(given, places, settings)
    whole = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    save_file(whole, out / "adapters.safetensors")
    own_config = {
        "model": settings.get("base_model_name_or_path") or "",
        "fine_tune_type": kind,
        "num_layers": -1,
        "partial": True,  # PEFT adapts any modules of any layers
        "lora_parameters": own | {"keys": sorted({place["key"] for place in places.values()})},
    }
    (out / CONFIG_FILE).write_text(json.dumps(own_config, indent=2) + "\n", encoding="utf-8")


def _scales(given: "Arrays", places: Places) -> "Arrays":
    """Return what (IA)3 multiplies by; a row multiplies inputs, a column outputs."""
    arrays = {}
    for name, place in places.items():
        module, array = _module(place), given[name]
        if place["half"] != "ia3_l" or array.shape[1 - int(ends_feed_forward(module))] != 1:
            raise ValueError(f"{name} multiplies other numbers than (IA)3 does here")
        arrays[f"{module}.ia3"] = array.flatten()
    return arrays


def _halves(
    given: "Arrays", places: Places, settings: dict[str, Any]
) -> "tuple[Arrays, dict[str, Any]]":
    """Return the halves of LoRA and DoRA, and their `lora_parameters`."""
    import numpy as np

    arrays: Arrays = {}
    ranks = {_module(m): given[n].shape[0] for n, m in places.items() if m["half"] == "lora_A"}
    rank, scale = max(ranks.values()), _scale(settings, "", settings["r"])
    for name, place in places.items():
        module, half, array = _module(place), place["half"], given[name]
        if half == "lora_magnitude_vector":
            arrays[f"{module}.m"] = array.flatten()
            continue
        missing = rank - ranks[module]
        if half == "lora_A":
            arrays[f"{module}.lora_a"] = np.pad(array, [(0, missing), (0, 0)]).T
        else:
            own = _scale(settings, module, ranks[module]) / scale
            arrays[f"{module}.lora_b"] = np.pad(array * own, [(0, 0), (0, missing)]).T
    dropout = float(settings.get("lora_dropout") or 0.0)
    return arrays, {"rank": rank, "scale": scale, "dropout": dropout}


def _read(path: Path) -> "Arrays":
    """Read safetensors of floats as float32, bfloat16 too, which NumPy does not have."""
    import numpy as np

    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
        data = stream.read()
    kinds = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
    found = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        start, end = about["data_offsets"]
        array = np.frombuffer(data[start:end], kinds[about["dtype"]])
        if about["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        found[name] = array.reshape(about["shape"]).astype(np.float32)
    return found


def _module(place: re.Match[str]) -> str:
    return f"{place['layer']}.{place['key']}"


def _check(settings: dict[str, Any]) -> None:
    if settings.get("peft_type") not in ("LORA", "IA3"):
        raise ValueError(f"it is of the kind {settings.get('peft_type')!r}, not LORA or IA3")
    for name, allowed in _REFUSED.items():
        if settings.get(name) not in allowed:
            raise ValueError(f"its {name} is {settings[name]!r}")


def _scale(settings: dict[str, Any], module: str, rank: int) -> float:
    """Return what a module's product is multiplied by."""
    patterns = settings.get("alpha_pattern") or {}
    alpha = next(
        (value for key, value in patterns.items() if re.fullmatch(rf"(.*\.)?({key})", module)),
        settings["lora_alpha"],
    )
    return float(alpha) / (rank**0.5 if settings.get("use_rslora") else rank)
