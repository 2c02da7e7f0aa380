"""A file of lines that only grows: one process at a time writes, and a torn last line goes."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from yofo_mlx.errors import RunError

_BLOCK = 2**16


class GrowingFile:
    """Lines on the disk, each of them whole; those of a process that was killed stay."""

    def __init__(self, path: Path, held: RunError) -> None:
        """`held` is raised where another process writes."""
        self.path, self._held = path, held

    def __enter__(self) -> Self:
        self._file = self.path.open("ab", buffering=0)  # what fails is not tried again later
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise self._held from error
        self.cut(self._whole())
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines that are there, without their ends; nothing may be added meanwhile."""
        with self.path.open("rb") as lines:
            for line in lines:
                yield line.rstrip(b"\n")

    @property
    def nbytes(self) -> int:
        """Return how long the file is."""
        return os.fstat(self._file.fileno()).st_size

    def cut(self, nbytes: int) -> None:
        """Keep the first bytes only."""
        if nbytes < self.nbytes:
            self._file.truncate(nbytes)

    def add(self, lines: bytes) -> None:
        """Write whole lines; where that fails, none of them is there, and OSError is raised."""
        before, left = self.nbytes, memoryview(lines)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self.cut(before)
            raise

    def _whole(self) -> int:
        """Return the length up to the end of the last whole line."""
        end = self.nbytes
        with self.path.open("rb") as file:
            while end:
                start = max(0, end - _BLOCK)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                if found >= 0:
                    return start + found + 1
                end = start
        return 0
