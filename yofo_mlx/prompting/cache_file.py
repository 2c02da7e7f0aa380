"""Prompt cache files: K and V of the demonstrations, in mlx-lm's safetensors layout.

The metadata says what the cache belongs to, and what the model answers to a probe token, so that a
cache is never used with anything that would read it differently.
"""

import hashlib
import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models.cache import (
    KVCache,
    QuantizedKVCache,
    load_prompt_cache,
    make_prompt_cache,
    save_prompt_cache,
)

from yofo_mlx.errors import RunError
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.fingerprint import adapter_fingerprint
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.protocol import CACHE_SUFFIX
from yofo_mlx.system.files import sync_folder
from yofo_mlx.system.text import reason, shorten
from yofo_mlx.tasks.task import Example

VERSION = "1"
_PROBED = 8  # likeliest tokens compared
_TOLERANCE = 0.1  # nats; another model or another context is off by far more
_GROUPS = (64, 32)  # numbers that share a scale where K and V are rounded
_TOO_MUCH = (OverflowError, RecursionError)  # numbers and lists that no cache has
_AGAIN = "give the demonstrations again instead of the file"


@dataclass(frozen=True)
class Saved:
    """What a prompt cache file says about itself."""

    demonstrations: list[Example]
    instruction: str
    tokens: list[int]
    probe: dict[int, float]
    digest: str = ""  # of what it holds; earlier files have none
    more: dict[str, str] = field(default_factory=dict)


def save(path: Path, prefix: Prefix, fingerprint: dict[str, str]) -> Path:
    """Write the context of a filled prefix; return the path with its suffix."""
    if not prefix.tokens:
        raise RunError("there are no demonstrations to save", "give some first")
    path = path.expanduser().absolute()
    path = path if path.suffix == CACHE_SUFFIX else path.with_name(path.name + CACHE_SUFFIX)
    write(path, prefix, fingerprint)
    return path


def write(
    path: Path,
    prefix: Prefix,
    fingerprint: dict[str, str],
    more: dict[str, str] | None = None,
    bits: int | None = None,
) -> float:
    """Write the context of a filled prefix, `more` in its metadata, K and V rounded to `bits`.

    Return what the rounding costs: by how many nats the likeliest next tokens are off, at most.
    """
    layers = [_exact(layer) for layer in prefix.context.layers]
    probe, cost = _probe(prefix.context), 0.0
    if bits:
        layers = [_rounded(layer, bits) for layer in layers]
        rounded = Context(prefix.context.model)
        rounded.adopt(layers, prefix.context.tokens)
        cost, probe = _distance(probe, rounded), _probe(rounded)
        layers = [_exact(layer) for layer in rounded.layers]
    metadata = (more or {}) | {
        "yofo_prompt_cache": VERSION,
        "fingerprint": json.dumps(fingerprint),
        "demonstrations": json.dumps([[e.input, e.output] for e in prefix.demonstrations]),
        "instruction": prefix.instruction,
        "tokens": json.dumps(prefix.tokens),
        "probe": json.dumps(probe),
        "digest": _digest(layers, prefix.tokens),
        **({"cost": repr(cost)} if bits else {}),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, layers, metadata)
    except (OSError, RuntimeError, ValueError) as error:
        raise RunError(
            f"the prompt cache cannot be written to {path}: {error}",
            "choose a folder you can write to, with room for it",
        ) from error
    return cost


def check_rounding(model: Any) -> None:
    """Refuse to round K and V of a model whose cache is none that only grows."""
    kinds = {type(layer).__name__ for layer in make_prompt_cache(model)} - {KVCache.__name__}
    if kinds:
        wrong = f"this model's keys and values cannot be rounded ({', '.join(sorted(kinds))})"
        raise RunError(wrong, "leave --kv-bits out")


def saved_for(folder: Path, adapter: Path) -> list[Path]:
    """Return the prompt caches in a folder that belong to an adapter as it is now."""
    mark, found = adapter_fingerprint(adapter), []
    for path in sorted(folder.glob(f"*{CACHE_SUFFIX}")):
        with suppress(OSError, RunError):
            if path.is_file() and _mark_of_adapter(path) == mark:
                found.append(path)
    return found


def load(path: Path, prefix: Prefix, fingerprint: dict[str, str]) -> None:
    """Fill a new prefix from a file, or raise with the reason and leave it unfilled."""
    path = _existing(path.expanduser())
    saved = look(path, fingerprint)
    prefix.choose(saved.demonstrations, saved.instruction)
    if prefix.tokens != saved.tokens:
        raise RunError(f"{path}: its demonstrations now have other token ids", _AGAIN)
    take(path, saved, prefix.context)


def take(path: Path, saved: Saved, context: Context) -> None:
    """Put the K and V of a file into a context, or raise with the reason and leave it empty."""
    try:
        layers = load_prompt_cache(str(path))
        mx.eval([layer.state for layer in layers])
        if saved.digest and saved.digest != _digest(layers, saved.tokens):
            raise ValueError("it does not hold what was written")
        layers = [_unrounded(layer) for layer in layers]
        expected = [type(layer) for layer in make_prompt_cache(context.model)]
        if [type(layer) for layer in layers] != expected:
            raise ValueError("its layers are of another kind")
        mx.eval([layer.state for layer in layers])
        context.adopt(layers, saved.tokens)
        agrees = bool(saved.probe) and _distance(saved.probe, context) < _TOLERANCE
    except Exception as error:  # a damaged file fails wherever it likes
        context.reset()
        raise RunError(f"{path} is damaged: {reason(error)}", _AGAIN) from error
    if not agrees:
        context.reset()
        raise RunError(f"{path}: the model answers differently than when it was saved", _AGAIN)


def _exact(layer: Any) -> Any:
    """Return a layer without the unused rows at the end of its buffers."""
    if type(layer) not in (KVCache, QuantizedKVCache):
        return layer
    keys, values, *rest = layer.state
    used = tree_map(lambda rows: rows[..., : layer.offset, :], (keys, values))
    return type(layer).from_state((*used, *rest))


def _rounded(layer: Any, bits: int) -> Any:
    """Return a layer with its numbers rounded, as mlx-lm does."""
    widths = {rows.shape[-1] for rows in (layer.keys, layer.values)}
    fitting = [size for size in _GROUPS if all(width % size == 0 for width in widths)]
    if not fitting:
        wrong = f"keys and values of {max(widths)} numbers a head cannot be rounded"
        raise RunError(wrong, "leave --kv-bits out")
    return layer.to_quantized(group_size=fitting[0], bits=bits)


def _unrounded(layer: Any) -> Any:
    """Return a rounded layer as one that is read and cut like any other."""
    if type(layer) is not QuantizedKVCache:
        return layer
    quantized: Any = (layer.keys, layer.values)
    keys, values = (
        mx.dequantize(rows, scales, biases, layer.group_size, layer.bits)
        for rows, scales, biases in quantized
    )
    return KVCache.from_state((keys, values, layer.offset))


def _digest(layers: list[Any], tokens: list[int]) -> str:
    whole = hashlib.sha256(json.dumps(tokens).encode())
    leaves: Any = tree_flatten([layer.state for layer in layers])
    for name, leaf in leaves:
        whole.update(name.encode())
        if isinstance(leaf, mx.array):
            whole.update(np.asarray(mx.contiguous(leaf).view(mx.uint8)).data)
        else:
            whole.update(repr(leaf).encode())
    return whole.hexdigest()


def _write(path: Path, layers: list[Any], metadata: dict[str, str]) -> None:
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=CACHE_SUFFIX)
    try:
        save_prompt_cache(temporary, layers, metadata)
        os.fsync(descriptor)
        os.replace(temporary, path)
    finally:
        os.close(descriptor)
        Path(temporary).unlink(missing_ok=True)
    sync_folder(path.parent)


def _existing(path: Path) -> Path:
    for candidate in (path, path.with_name(path.name + CACHE_SUFFIX)):
        with suppress(OSError):  # such as a name that is too long
            if candidate.is_file() and candidate.suffix == CACHE_SUFFIX:
                return candidate
    raise RunError(
        f"there is no prompt cache {shorten(str(path), 500)}",
        f"prompt caches end in {CACHE_SUFFIX}",
    )


def _metadata(path: Path) -> dict[str, str]:
    try:
        contents: Any = mx.load(str(path), return_metadata=True)
        # mlx-lm's layout: the caller's metadata come first of three.
        metadata = {key.removeprefix("0."): value for key, value in contents[1].items()}
    except (OSError, RuntimeError, ValueError) as error:
        raise RunError(f"{path} is not a prompt cache: {reason(error)}", _AGAIN) from error
    if metadata.get("yofo_prompt_cache") != VERSION:
        raise RunError(f"{path} was not saved by this version of yofo", _AGAIN)
    return metadata


def _mark_of_adapter(path: Path) -> object:
    try:
        return json.loads(_metadata(path)["fingerprint"])["adapter"]
    except (LookupError, ValueError, TypeError, *_TOO_MUCH):
        return None


def look(path: Path, fingerprint: dict[str, str]) -> Saved:
    """Return what a file says about itself, or raise where it belongs to something else."""
    metadata = _metadata(path)
    try:
        known = json.loads(metadata["fingerprint"])
        if different := [name for name in fingerprint if known.get(name) != fingerprint[name]]:
            raise RunError(
                f"{path} belongs to another {' and another '.join(different)}",
                f"load what it was saved with, or {_AGAIN}",
            )
        demonstrations = [
            Example(str(x), str(y)) for x, y in json.loads(metadata["demonstrations"])
        ]
        "".join(example.input + example.output for example in demonstrations).encode()
        return Saved(
            demonstrations,
            metadata["instruction"],
            json.loads(metadata["tokens"]),
            {int(token): float(value) for token, value in json.loads(metadata["probe"]).items()},
            metadata.get("digest", ""),
            metadata,
        )
    except (LookupError, ValueError, TypeError, AttributeError, *_TOO_MUCH) as error:
        raise RunError(f"{path} is damaged: {reason(error)}", _AGAIN) from error


def _probe(context: Context) -> dict[int, float]:
    """Return the likeliest tokens after the last token once more, with log-probabilities."""
    logprobs = context.next_logprobs(context.tokens[-1])
    best: Any = mx.argsort(-logprobs)[:_PROBED].tolist()
    return {token: float(logprobs[token]) for token in best}


def _distance(probe: dict[int, float], context: Context) -> float:
    """Return by how many nats the probe's tokens are off at most; infinity where one is unknown."""
    logprobs = context.next_logprobs(context.tokens[-1])
    return max(
        abs(float(logprobs[token]) - value) if 0 <= token < len(logprobs) else math.inf
        for token, value in probe.items()
    )
