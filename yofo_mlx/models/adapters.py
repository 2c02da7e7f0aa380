"""LoRA adapters in mlx-lm's file format."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.tuner.utils import load_adapters as mlx_lm_load

from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.models import adapter_layers
from yofo_mlx.models.adapter_files import CONFIG_FILE as CONFIG_FILE
from yofo_mlx.models.adapter_files import (
    TRAINED,
    check_files,
    is_partial,
    read_lora,
    read_settings,
)
from yofo_mlx.models.adapter_files import WEIGHTS_FILE as WEIGHTS_FILE
from yofo_mlx.recipe.schema import Lora, Template
from yofo_mlx.recipe.template import write_template
from yofo_mlx.system.arrays import load_arrays, save_arrays
from yofo_mlx.system.text import reason

# Layers whose weights a model's code takes by itself (Gemma 3n, Kimi K3): an adapter on one has no
# such weight, and would do nothing.
NOT_CALLED = {
    "altup.prediction_coefs",
    "altup.correction_coefs",
    "self_attention_res_proj",
    "mlp_res_proj",
}

# Models whose own code cannot be differentiated.
NO_GRADIENT = {
    "deepseek_v41": "mlx-lm's choice of its experts and its keys of 8 bits have no gradient"
}

ADAPTABLE = (
    nn.Linear,
    nn.QuantizedLinear,
    SwitchLinear,
    QuantizedSwitchLinear,
    nn.Embedding,
    nn.QuantizedEmbedding,
)


def check_adapter(model: Any, lora: Lora) -> None:
    """Refuse an adapter that the model cannot carry."""
    keys = sorted({key for layer in model.layers for key, _ in layer.named_modules()})
    if unknown := sorted(set(lora.keys or ()) - set(keys)):
        raise RecipeError(
            f"lora.keys: the model's layers have no {', '.join(unknown)}",
            "there are: " + ", ".join(key for key in keys if "proj" in key or "." in key)[:400],
        )
    if lora.num_layers > len(model.layers):
        raise RecipeError(
            f"lora.num_layers is {lora.num_layers}, but the model has {len(model.layers)} layers",
            "give fewer, or -1 for all",
        )
    check_kind(model, lora)


def add_adapter(model: Any, lora: Lora) -> None:
    """Freeze a model and put a fresh adapter on it; uses MLX's random state."""
    check_adapter(model, lora)
    if why := NO_GRADIENT.get(_kind(model)):
        raise RunError(f"{_kind(model)} cannot be trained: {why}", "take another model")
    try:
        model.freeze()
    except AttributeError as error:  # Griffin: its class never initialises nn.Module
        raise RunError(
            f"{_kind(model)} cannot be trained: mlx-lm's class for it cannot be frozen ({error})",
            "take another model, or a newer mlx-lm",
        ) from error
    try:
        attach(model, lora)
    except ValueError as error:
        raise RecipeError(f"lora: {error}", "name layers it can adapt in lora.keys") from error
    if not adapter_weights(model):
        raise RunError(
            f"{_kind(model)} cannot be trained: mlx-lm has no adapter for any of its layers",
            "take another model, or a newer mlx-lm",
        )
    mx.eval(model.trainable_parameters())
    for name, array in adapter_weights(model).items():
        if name.endswith(".m") and not array.all().item():
            raise RecipeError(
                f"DoRA cannot adapt {name.removesuffix('.m')}: it has rows of zeros",
                'leave such layers out of lora.keys, or set lora.fine_tune_type = "lora"',
            )


def attach(model: Any, lora: Lora) -> None:
    """Put a fresh adapter on a frozen model, as mlx-lm does its own; nothing is computed yet."""
    if lora.fine_tune_type in adapter_layers.KINDS:
        adapter_layers.attach(model, lora)
        return
    dora = lora.fine_tune_type == "dora"
    linear_to_lora_layers(model, lora.num_layers, parameters(lora, model), use_dora=dora)


class NoPlace(RecipeError):
    """A kind of adapter that a model has no layers for."""


def check_kind(model: Any, lora: Lora) -> None:
    """Refuse a kind of adapter that a model has no place for."""
    if lora.fine_tune_type not in adapter_layers.KINDS or adapter_layers.places(model, lora):
        return
    kind, name = lora.fine_tune_type, getattr(model, "model_type", type(model).__name__)
    if kind == "bitfit":
        where = ", ".join(lora.keys) if lora.keys else "its layers"
        raise NoPlace(
            f"lora.fine_tune_type is bitfit, but {name} has no biases in {where}",
            "Qwen 2 has some; take ia3, which trains about as few numbers, or lora",
        )
    raise NoPlace(
        f"lora.fine_tune_type is {kind}, but {name} has no layers of the names it goes by",
        "name layers inside a block in lora.keys, or take lora",
    )


def parameters(lora: Lora, model: Any) -> dict[str, Any]:
    """Return mlx-lm's `lora_parameters` for a model, before or after it has the adapter."""
    values = {"rank": lora.rank, "scale": lora.scale, "dropout": lora.dropout}
    keys = lora.keys or _called(model)
    return values | ({"keys": list(keys)} if keys else {})


def _called(model: Any) -> list[str]:
    """Return the layers to adapt where not all can be; none: mlx-lm's own choice will do."""
    found = {
        name
        for layer in model.layers
        for name, module in layer.named_modules()
        if isinstance(module, ADAPTABLE) or hasattr(module, "to_lora") or "lora_a" in module
    }
    return sorted(found - NOT_CALLED) if found & NOT_CALLED else []


def _kind(model: Any) -> str:
    return str(getattr(model, "model_type", type(model).__module__))


def save_adapter(
    folder: Path, model: Any, lora: Lora, base: str, template: Template | None = None
) -> None:
    """Write the adapter on `model`, and the template it was trained with, into a folder."""
    save_arrays(folder / WEIGHTS_FILE, adapter_weights(model))
    is_bitfit = lora.fine_tune_type == "bitfit"
    config = {
        "model": base,
        "fine_tune_type": "full" if is_bitfit else lora.fine_tune_type,
        **({TRAINED: "bitfit"} if is_bitfit else {}),
        "num_layers": lora.num_layers,
        "lora_parameters": parameters(lora, model),
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if template:
        write_template(folder, template)


def _load_own(model: Any, folder: Path, lora: Lora) -> None:
    """Put an adapter of a kind that mlx-lm has not on a base; ValueError for other arrays."""
    weights = load_arrays(folder / WEIGHTS_FILE)
    names = adapter_layers.attach(model, lora)
    known: Any = dict(tree_flatten(model.parameters()))
    there = {name: known[name].shape for name in names}
    for name, array in weights.items():
        if array.shape != there.get(name):
            raise ValueError(f"{name} is {_size(array.shape)} there, {_size(there.get(name))} here")
    if missing := [name for name in names if name not in weights and not is_partial(folder)]:
        raise ValueError(f"{WEIGHTS_FILE} lacks {missing[0]}")
    model.load_weights(list(weights.items()), strict=False)


def load_adapter(model: Any, folder: Path) -> None:
    """Put a saved adapter on a base model."""
    check_files(folder)
    saved = _arrays_of(folder)
    try:
        lora = read_lora(folder)
        if lora and lora.fine_tune_type in adapter_layers.KINDS:
            _load_own(model, folder, lora)
        else:
            mlx_lm_load(model, str(folder))
        _check_weights(model, saved, partial=is_partial(folder))
        mx.eval(model.parameters())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise RunError(
            f"the adapter in {folder} does not fit the model: {reason(error)}",
            "use the base model it was trained on",
        ) from error


@dataclass(frozen=True)
class Mounted:
    """A saved adapter on a base model: its layers come off without a trace, and on again."""

    model: Any
    layers: list[tuple[str, Any, Any]]  # where, the base's own one, the adapter's around it

    def put_on(self) -> None:
        """Let the adapter answer; no other one may be on."""
        _replace(self.model, {where: adapted for where, _, adapted in self.layers})

    def take_off(self) -> None:
        """Let the base answer: its own layers, which the adapter never changed."""
        _replace(self.model, {where: own for where, own, _ in self.layers})


def mount(model: Any, folder: Path) -> Mounted:
    """Put a saved adapter on a base model that has none on; one that does not fit leaves none."""
    own = dict(model.named_modules())
    try:
        load_adapter(model, folder)
    except RunError:
        _exchanged(model, own).take_off()
        raise
    model.eval()  # fresh adapter layers would drop out
    return _exchanged(model, own)


def _exchanged(model: Any, before: dict[str, Any]) -> Mounted:
    """Return where other layers stand than before."""
    there = [(where, before.get(where), layer) for where, layer in model.named_modules()]
    return Mounted(model, [one for one in there if one[1] is not None and one[1] is not one[2]])


def _replace(model: Any, layers: dict[str, Any]) -> None:
    model.update_modules(tree_unflatten(list(layers.items())))


def begin_with(model: Any, folder: Path) -> None:
    """Give the fresh adapter on a model the weights of a saved one of the same shape."""
    fresh = adapter_weights(model)
    saved = check_shapes(folder, {name: tuple(array.shape) for name, array in fresh.items()})
    try:
        _check_weights(model, saved, partial=is_partial(folder))
    except (ValueError, RuntimeError) as error:
        raise RunError(
            f"the adapter in {folder} cannot be begun with: {reason(error)}", "take another one"
        ) from error
    weights = [(name, array.astype(fresh[name].dtype)) for name, array in saved.items()]
    model.load_weights(weights, strict=False)
    mx.eval(model.trainable_parameters())


def _arrays_of(folder: Path) -> dict[str, mx.array]:
    try:
        return load_arrays(folder / WEIGHTS_FILE)
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"{folder / WEIGHTS_FILE} cannot be read: {reason(error)}", "take another adapter"
        ) from error


def check_shapes(folder: Path, expected: dict[str, tuple[int, ...]]) -> dict[str, mx.array]:
    """Return a saved adapter's arrays, refused where they are not those that a model would get."""
    base = read_settings(folder).base
    partial = is_partial(folder)
    arrays = _arrays_of(folder)
    found = {name: tuple(array.shape) for name, array in arrays.items()}
    names = found.keys() if partial else found.keys() | expected.keys()
    wrong = [name for name in sorted(names) if found.get(name) != expected.get(name)]
    if wrong:
        name = wrong[0]
        raise RunError(
            f"the adapter in {folder} does not fit the model: {name} is {_size(found.get(name))}"
            f" there, {_size(expected.get(name))} here",
            f"it was trained on {base or 'another model'}: name that as the recipe's model",
        )
    return arrays


def _size(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape))


def _check_weights(model: Any, weights: dict[str, mx.array], *, partial: bool) -> None:
    """Refuse an adapter with gaps, which mlx-lm leaves at random, or with numbers that are none.

    A partial one may lack modules, not halves of them.
    """
    flat: Any = tree_flatten(model.parameters())
    halves = [name for name, _ in flat if name.endswith((".lora_a", ".lora_b"))]
    there = {name.rpartition(".")[0] for name in weights}
    wanted = (name for name in halves if not partial or name.rpartition(".")[0] in there)
    if missing := [name for name in wanted if name not in weights]:
        raise ValueError(f"{WEIGHTS_FILE} lacks {missing[0]}")
    for name, array in weights.items():
        if not mx.issubdtype(array.dtype, mx.floating) or not mx.isfinite(array).all().item():
            raise ValueError(f"{name} holds something other than finite numbers")


def adapter_weights(model: Any) -> dict[str, mx.array]:
    """Return the adapter's arrays by name."""
    return dict(tree_flatten(model.trainable_parameters()))
