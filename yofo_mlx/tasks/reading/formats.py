"""Files that hold data: which formats there are, and one opened whatever it is packed in."""

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from yofo_mlx.tasks.reading import sniff

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
_COLUMNAR = (".parquet", ".arrow")


@dataclass(frozen=True)
class DataFile:
    """A file on disk, or text in place of one, and the name it goes by in messages."""

    path: Path
    shown: str
    pasted: bytes | None = None

    @property
    def nbytes(self) -> int:
        """Return how large it is as it lies there."""
        return self.path.stat().st_size if self.pasted is None else len(self.pasted)

    def open(self) -> IO[bytes]:
        """Open it, unpacked if it is compressed, whatever its name says."""
        if self.pasted is not None:
            return io.BytesIO(self.pasted)
        if self.is_packed():
            return cast(IO[bytes], gzip.open(self.path, "rb"))
        return self.path.open("rb")

    def is_packed(self) -> bool:
        """Tell whether it is compressed with gzip."""
        if self.pasted is not None or self.path.suffix.lower() in _COLUMNAR:
            return False
        with self.path.open("rb") as stream:
            return sniff.is_gzip(stream.read(2))

    def read(self) -> bytes:
        """Return all of it, unpacked."""
        with self.open() as stream:
            return stream.read()


def format_of(name: str) -> str | None:
    """Return the format a file name stands for (`.csv`, ...), or None."""
    lower = name.lower().removesuffix(".gz")
    suffix = next((known for known in FORMATS if lower.endswith(known)), None)
    return None if suffix in _COLUMNAR and name.lower().endswith(".gz") else suffix
