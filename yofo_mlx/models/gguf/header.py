"""The header of a GGUF file: its metadata, and where its tensors lie.

Read here, not by the package gguf, whose reader believes every length that a file gives and takes
seconds for a vocabulary. The layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from yofo_mlx.errors import RecipeError
from yofo_mlx.system.files import disk_error
from yofo_mlx.system.text import shorten

SUFFIX = ".gguf"
MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32  # bytes, unless the metadata say otherwise
LONGEST_HEADER = 100 * 2**20
MOST_AXES = 4
SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
STRING, ARRAY = 8, 9


@dataclass(frozen=True)
class Stored:
    """A tensor as it lies in the file; its axes in the order of an array in C."""

    kind: GGMLQuantizationType
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        block, nbytes = GGML_QUANT_SIZES[self.kind]
        return self.size // block * nbytes


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself."""

    path: Path
    about: dict[str, Any]
    tensors: dict[str, Stored]

    @property
    def architecture(self) -> str:
        """Return llama.cpp's name of the architecture."""
        return str(self.about.get("general.architecture"))

    def read(self, stream: BinaryIO, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return the bytes of a tensor, as (rows, bytes of a row)."""
        tensor = self.tensors[name]
        stream.seek(tensor.offset)
        found = np.frombuffer(stream.read(tensor.nbytes), np.uint8)
        return found.reshape(*tensor.shape[:-1], -1)


class _Ends(Exception):
    """The file ends before what its header promises."""


class _Malformed(Exception):
    """The header says what cannot be."""


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file; one that is damaged or of another kind is refused."""
    again = "copy or download it again"
    try:
        with path.open("rb") as stream:
            return _Cursor(stream).header(path)
    except _Ends as error:
        raise RecipeError(f"{path} is not whole: {error}", again) from error
    except (_Malformed, ValueError, OverflowError, MemoryError, RecursionError) as error:
        wrong = f"{path} is no GGUF file that yofo can read: {shorten(str(error), 200)}"
        raise RecipeError(wrong, again) from error
    except OSError as error:
        raise disk_error(error, path, "the same command") from error


class _Cursor:
    """Reads one thing after another, never further than the file goes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = os.fstat(stream.fileno()).st_size

    def header(self, path: Path) -> Header:
        """Read the whole header."""
        if self._stream.read(len(MAGIC)) != MAGIC:
            raise _Malformed("it does not begin with the letters GGUF")
        (version,) = self._take("I")
        if version not in VERSIONS:
            raise _Malformed(f"its format has version {version}, not {' or '.join('23')}")
        tensors, pairs = self._take("QQ")
        about: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._text()
            about[key] = self._value(*self._take("I"))
        found = [self._tensor() for _ in range(tensors)]
        return Header(path, about, self._placed(dict(found), about))

    def _placed(self, tensors: dict[str, Stored], about: dict[str, Any]) -> dict[str, Stored]:
        """Return the tensors with their offsets counted from the beginning of the file."""
        alignment = about.get("general.alignment", ALIGNMENT)
        if type(alignment) is not int or alignment < 8 or alignment % 8:
            raise _Malformed(f"its alignment is {alignment}")
        start = -(-self._stream.tell() // alignment) * alignment
        placed = {
            name: Stored(tensor.kind, tensor.shape, start + tensor.offset)
            for name, tensor in tensors.items()
        }
        end = max((tensor.offset + tensor.nbytes for tensor in placed.values()), default=start)
        if end > self._size:
            raise _Ends(f"it has {self._size:,} bytes, its tensors go up to {end:,}")
        return placed

    def _tensor(self) -> tuple[str, Stored]:
        name = self._text()
        (axes,) = self._take("I")
        if not 1 <= axes <= MOST_AXES:
            raise _Malformed(f"tensor {name} has {axes} axes")
        shape = self._take(f"{axes}Q")[::-1]
        number, offset = self._take("IQ")
        try:
            kind = GGMLQuantizationType(number)
        except ValueError:
            raise _Malformed(f"tensor {name} has the unknown quantization {number}") from None
        if shape[-1] % GGML_QUANT_SIZES[kind][0]:
            raise _Malformed(
                f"tensor {name} has rows of {shape[-1]}, which {kind.name} cannot have"
            )
        return name, Stored(kind, shape, offset)

    def _value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self._take(SCALARS[kind])[0]
        if kind == STRING:
            return self._text()
        if kind != ARRAY:
            raise _Malformed(f"it holds a value of the unknown type {kind}")
        inner, count = self._take("IQ")
        if inner in SCALARS:
            return list(self._take(f"{count}{SCALARS[inner]}"))
        return [self._value(inner) for _ in range(count)]

    def _text(self) -> str:
        (length,) = self._take("Q")
        return self._bytes(length).decode("utf-8")

    def _take(self, layout: str) -> tuple[Any, ...]:
        try:
            nbytes = struct.calcsize(f"<{layout}")
        except struct.error as error:  # a count past any file
            raise _Ends("it ends within its header") from error
        return struct.unpack(f"<{layout}", self._bytes(nbytes))

    def _bytes(self, length: int) -> bytes:
        here = self._stream.tell()
        if here + length > self._size:
            raise _Ends("it ends within its header")
        if here + length > LONGEST_HEADER:
            raise _Malformed(f"its header is longer than {LONGEST_HEADER:,} bytes")
        return self._stream.read(length)
