"""What prompt cache files say about themselves, read from their headers alone and without MLX."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.errors import DataError
from yofo_mlx.prompting.protocol import CACHE_SUFFIX
from yofo_mlx.system.text import reason
from yofo_mlx.tasks.task import Example

_LONGEST = 100 * 2**20  # bytes, about what safetensors itself takes
_MALFORMED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    struct.error,
)


@dataclass(frozen=True)
class KeptFile:
    """A file of a set's keys and values; of one that cannot be used, why."""

    path: str
    bytes: int
    model: str = ""
    adapter: str | None = None
    bits: int | None = None
    shots: int = 0
    tokens: int = 0
    problem: str = ""
    template: str | None = None  # what tells one that is not the usual from others


def kept_files(folder: Path) -> list[KeptFile]:
    """Return what is kept in the folder of a set's caches."""
    return [_kept_file(path) for path in sorted(folder.glob(f"[!.]*{CACHE_SUFFIX}"))]


def demonstrations_in(path: Path) -> tuple[list[Example], str]:
    """Return the demonstrations of a prompt cache file, and its instruction."""
    try:
        known = _header(path)
        pairs = json.loads(known["demonstrations"])
        return [Example(str(given), str(answer)) for given, answer in pairs], known["instruction"]
    except _MALFORMED as error:
        wrong = f"{path} is no sound prompt cache: {_words(error)}"
        raise DataError(wrong, "name the file that it was made from") from error


def _kept_file(path: Path) -> KeptFile:
    nbytes = 0
    try:
        nbytes = path.stat().st_size
        known = _header(path)
        owner = json.loads(known["owner"])
        return KeptFile(
            str(path),
            nbytes,
            str(owner["model"]),
            owner["adapter"],
            owner["bits"],
            len(json.loads(known["demonstrations"])),
            len(json.loads(known["tokens"])),
            template=owner.get("template"),
        )
    except _MALFORMED as error:
        return KeptFile(str(path), nbytes, problem=_words(error))


def _header(path: Path) -> dict[str, str]:
    """Return the metadata of a whole file, as `cache_file` gave them to mlx-lm."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > _LONGEST:
            raise ValueError(f"a header of {length} bytes")
        header: dict[str, Any] = json.loads(stream.read(length))
        metadata = header.pop("__metadata__")
        end = 8 + length + max(entry["data_offsets"][1] for entry in header.values())
        if stream.seek(0, 2) < end:
            raise ValueError("it is cut off")
    return {key.removeprefix("0."): str(value) for key, value in metadata.items()}


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or reason(error)
