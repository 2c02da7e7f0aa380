"""An adapter merged into its base: a model directory that mlx-lm and transformers load."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.utils import dequantize_model, load_model, quantize_model, save_config, save_model

from yofo_mlx.errors import RunError
from yofo_mlx.export.agreement import (
    KEPT_ENOUGH,
    Agreement,
    compare,
    log_probabilities,
    texts_of,
)
from yofo_mlx.export.kinds import check_form
from yofo_mlx.models.adapter_files import is_whole_model, read_settings
from yofo_mlx.models.adapters import load_adapter, mount
from yofo_mlx.models.base import Base, base_of, model_path
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system.files import new_folder, why_not_written

GROUP = 64
COPIED = ("generation_config.json", "*.jinja", "*.py", "LICENSE*")
TOKENIZER = (
    "tokenizer*",
    "vocab*",
    "merges*",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.tiktoken",
)


@dataclass(frozen=True)
class Fused:
    """A fused model in a folder that has no name yet, and how near it is to the adapter."""

    folder: Path
    base: Base  # as it is loaded from there
    agreement: Agreement
    texts: str  # what it was compared on


@contextmanager
def fused(
    recipe: Recipe, adapter: Path, out: Path, *, bits: int | None, dequantize: bool, has_data: bool
) -> Iterator[Fused]:
    """Write the fused model, and yield it; it becomes `out` when the block ends well.

    `bits`: quantize the result so, whatever the base is.
    """
    if not is_whole_model(adapter):
        check_form(read_settings(adapter).lora, "fused")
    base = base_of(recipe)
    texts, what = texts_of(recipe, base.tokenizer, has_data=has_data)
    before = log_probabilities(base.model, texts)
    mount(base.model, adapter)
    adapted = log_probabilities(base.model, texts)
    source = base.path
    del base
    with new_folder(out) as folder:
        _write(recipe, adapter, folder, bits=bits, dequantize=dequantize)
        _copy(source, folder)
        again = base_of(recipe.model_copy(update={"model": str(folder), "revision": None}))
        agreement = compare(adapted, before, log_probabilities(again.model, texts))
        yield Fused(folder, again, agreement, what)


def check_kept(made: Fused, *, force: bool) -> None:
    """Refuse an export whose quantizer ate the adapter."""
    is_quantized = bool(made.base.config.get("quantization"))
    if is_quantized and made.agreement.kept < KEPT_ENOUGH and not force:
        raise RunError(
            f"quantizing again loses the adapter: {made.agreement}",
            "--dequantize keeps it whole, --bits 8 nearly; --force writes it as it is",
        )


def _write(
    recipe: Recipe, adapter: Path, folder: Path, *, bits: int | None, dequantize: bool
) -> None:
    """Fuse in the precision of the base's files, which computing here may not have."""
    path = model_path(recipe.model, recipe.revision)
    model, config = load_model(path, trust_remote_code=recipe.trust_remote_code)
    load_adapter(model, adapter)
    whole = dequantize or bits is not None
    layers = [
        (name, layer.fuse(dequantize=whole))
        for name, layer in model.named_modules()
        if hasattr(layer, "fuse")
    ]
    model.update_modules(tree_unflatten(layers))
    if whole and config.get("quantization"):
        model = dequantize_model(model)
        config = {key: value for key, value in config.items() if not key.startswith("quantization")}
    if bits is not None:
        with redirect_stdout(sys.stderr):  # it prints
            model, config = quantize_model(model, config, GROUP, bits)
    _save(model, config, folder)


def _save(model: nn.Module, config: dict[str, Any], folder: Path) -> None:
    mx.eval(model.parameters())
    weights: Any = tree_flatten(model.parameters())
    nbytes = sum(array.nbytes for _, array in weights)
    try:
        save_model(folder, model, donate_model=True)
    except RuntimeError as error:  # MLX does not say why it could not write
        raise why_not_written(folder, nbytes) from error
    save_config(config, folder / "config.json", keep_vision_config="vision_config" in config)


def _copy(source: Path, folder: Path) -> None:
    """Take the tokenizer's files as they are: written anew they could differ."""
    for pattern in (*TOKENIZER, *COPIED):
        for file in source.glob(pattern):
            if file.is_file() and not (folder / file.name).exists():
                (folder / file.name).write_bytes(file.read_bytes())
