"""What a prompt cache belongs to: short hashes of model, adapter, template and KV settings."""

import hashlib
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.cache import make_prompt_cache

from yofo_mlx.models.base import Base
from yofo_mlx.prompting.loading import LoadedModel
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.trained import Note, undated

_SAMPLE = 65536  # bytes read at three places of a weights file: gigabytes are not hashed whole
_SMALL = ("config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json")


def fingerprint(loaded: LoadedModel) -> dict[str, str]:
    """Return a hash for each thing that must be the same when a prompt cache is used again."""
    adapter = loaded.source.adapter if loaded.uses_adapter else None
    return {
        "model": model_fingerprint(loaded.base.path),
        "adapter": adapter_fingerprint(adapter) if adapter else "none",
        "template": _hash(
            loaded.source.template.model_dump_json().encode(),
            str(loaded.base.tokenizer.chat_template).encode(),
        ),
        "KV setting": _kv_setting(loaded.base.model),
    }


def model_fingerprint(folder: Path) -> str:
    """Hash the small files of a model directory and samples of its weights."""
    pieces = [_whole(folder / name) for name in _SMALL]
    for path in sorted(folder.glob("*.safetensors")):
        pieces += [path.name.encode(), *_samples(path)]
    return _hash(*pieces)


def adapter_fingerprint(folder: Path) -> str:
    """Hash an adapter's files."""
    return _hash(*(_whole(path) for path in sorted(folder.glob("adapter*"))))


def changed_model(run: Run, base: Base) -> list[Note]:
    """Return warnings if the files, or the day, are not those that a run was trained on."""
    kept = run.info().model
    known = kept is not None and kept.name == base.name and kept.fingerprint
    notes = undated(run, base.tokenizer.chat_template)
    if not known or known == model_fingerprint(base.path):
        return notes
    return [
        *notes,
        (
            f"the files of model {base.name} changed since the run began",
            "the adapter belongs to what was there before",
        ),
    ]


def _kv_setting(model: Any) -> str:
    """Describe the empty cache and the precision that keys and values come in."""
    layers = [(type(layer).__name__, layer.state) for layer in make_prompt_cache(model)]
    parameters: Any = tree_flatten(model.parameters())
    dtypes = {
        str(value.dtype)
        for name, value in parameters
        if "lora_" not in name and mx.issubdtype(value.dtype, mx.floating)
    }
    return _hash(repr(layers).encode(), repr(sorted(dtypes)).encode())


def _whole(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _samples(path: Path) -> list[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        samples = [str(size).encode()]
        for place in (0, size // 2, max(0, size - _SAMPLE)):
            file.seek(place)
            samples.append(file.read(_SAMPLE))
    return samples


def _hash(*pieces: bytes) -> str:
    """Hash the pieces with their lengths, so that no two lists run together the same."""
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(str(len(piece)).encode() + b":" + piece)
    return whole.hexdigest()[:32]
