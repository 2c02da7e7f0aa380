"""The tensors of a model by name, from the headers of its safetensors files alone.

Weights are never read. Of files that are on the hub only, the header is fetched and nothing else.
"""

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError
from yofo_mlx.hub.client import asking
from yofo_mlx.hub.errors import Repo
from yofo_mlx.models.base import replace_files
from yofo_mlx.recipe.names import is_on_hub
from yofo_mlx.system.text import reason

WEIGHTS = "model*.safetensors"  # what mlx-lm loads
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
BYTES = (
    FLOATS
    | {"F8_E4M3": 1, "F8_E5M2": 1, "BOOL": 1}
    | {f"{sign}{bits}": bits // 8 for sign in "IU" for bits in (8, 16, 32, 64)}
)
LONGEST_HEADER = 100 * 2**20  # about what safetensors itself takes; a longer one is no header
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error)


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        return math.prod(self.shape) * BYTES.get(self.dtype, 1)


def model_tensors(name: str, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a model; of weights that its directory lacks, from the hub."""
    if not is_on_hub(name):
        return read_headers(path)
    tensors: dict[str, Tensor] = {}
    for file in _files_on_hub(name, path):
        here = path / file
        tensors |= _read(here) if here.exists() else _fetch(name, path.name, file)
    return tensors


def read_headers(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a model directory."""
    tensors: dict[str, Tensor] = {}
    for file in sorted(path.glob(WEIGHTS)):
        tensors |= _read(file)
    return tensors


def _files_on_hub(name: str, path: Path) -> list[str]:
    """Return the names of a hub model's weight files at the commit of its directory."""
    from huggingface_hub import errors, get_cached_repo_tree

    try:
        names: Iterable[str] = (f.path for f in get_cached_repo_tree(name, revision=path.name))
    except errors.CachedRepoTreeNotFoundError:  # cached by a client that kept no list of files
        names = (file.name for file in path.iterdir())
    return sorted(file for file in names if fnmatchcase(file, WEIGHTS) and "/" not in file)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > LONGEST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        return {name: _tensor(entry["dtype"], entry["shape"]) for name, entry in header.items()}
    except (OSError, *MALFORMED) as error:
        raise _malformed(str(file), error, replace_files(file.parent)) from error


def _fetch(name: str, commit: str, file: str) -> dict[str, Tensor]:
    """Fetch the header of a file on the hub, by a request for its first bytes."""
    from huggingface_hub import HfApi, errors

    try:
        with asking(Repo("model", name, commit)):
            found = HfApi().parse_safetensors_file_metadata(name, file, revision=commit)
        return {key: _tensor(info.dtype, info.shape) for key, info in found.tensors.items()}
    except (errors.SafetensorsParsingError, *MALFORMED) as error:
        if isinstance(error, RecipeError):
            raise
        hint = "mlx-lm cannot load it either: choose another model"
        raise _malformed(f"{name}/{file}", error, hint) from error


def _tensor(dtype: Any, shape: Any) -> Tensor:
    return Tensor(str(dtype), tuple(int(length) for length in shape))


def _malformed(file: str, error: Exception, hint: str) -> RecipeError:
    return RecipeError(f"{file} is no safetensors file: {reason(error)}", hint)
