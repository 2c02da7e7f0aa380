"""A stretch of a text file that may be of any size and grow: its end, what is before, a find."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from yofo_mlx.system.text import shorten

SPAN: Final = 128 * 1024  # bytes that are held
LONGEST: Final = 2000  # characters of a line that are shown
BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Stretch:
    """Lines of a file, from byte to byte."""

    path: Path
    start: int
    end: int
    lines: tuple[str, ...]
    size: int  # of the whole file by then
    found: int | None = None  # the line that a search led to

    @property
    def is_last(self) -> bool:
        """Tell whether nothing comes after it."""
        return self.end >= self.size


def end_of(path: Path) -> Stretch:
    """Return the end of a file."""
    size = _size(path)
    return _read(path, max(0, size - SPAN), size)


def start_of(path: Path) -> Stretch:
    """Return the start of a file."""
    return _read(path, 0, SPAN)


def before(stretch: Stretch) -> Stretch:
    """Return the stretch that ends where this one begins, with half of this one."""
    start = max(0, stretch.start - SPAN // 2)
    return _read(stretch.path, start, start + SPAN)


def after(stretch: Stretch) -> Stretch:
    """Return the stretch that begins in the middle of this one."""
    return _read(stretch.path, stretch.start + SPAN // 2, stretch.start + SPAN // 2 + SPAN)


def find(path: Path, words: str, at: int, *, forwards: bool = False) -> Stretch | None:
    """Return the lines around the nearest place of some words before (or behind) a byte."""
    place = _place(path, words.encode("utf-8", "replace").lower(), at, forwards)
    if place is None:
        return None
    found = _read(path, max(0, place - SPAN // 2), place + SPAN // 2)
    with path.open("rb") as file:
        file.seek(found.start)
        line = file.read(place - found.start).count(b"\n")
    return replace(found, found=line)


def offset_of(stretch: Stretch, line: int) -> int:
    """Return at which byte a line of a stretch begins."""
    with stretch.path.open("rb") as file:
        file.seek(stretch.start)
        data = file.read(stretch.end - stretch.start)
    return stretch.start + sum(len(one) + 1 for one in data.split(b"\n")[:line])


def _place(path: Path, words: bytes, at: int, forwards: bool) -> int | None:
    """Search block by block, so that a file of any size takes the memory of one."""
    overlap = max(0, len(words) - 1)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while 0 <= at <= size:
            start = at if forwards else max(0, at - BLOCK)
            file.seek(start)
            data = file.read(BLOCK + overlap if forwards else at - start + overlap).lower()
            found = data.find(words) if forwards else data.rfind(words)
            if found >= 0:
                return start + found
            if (start + BLOCK >= size) if forwards else start == 0:
                return None
            at = start + BLOCK if forwards else start
    return None


def _read(path: Path, start: int, end: int) -> Stretch:
    """Return the whole lines between two bytes; the first one that is cut is left out."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(start)
            data = file.read(end - start)
    except OSError:
        return Stretch(path, 0, 0, (), 0)
    if start and (cut := data.find(b"\n") + 1):
        start, data = start + cut, data[cut:]
    if start + len(data) < size and (last := data.rfind(b"\n") + 1):
        data = data[:last]
    texts = data.decode("utf-8", "replace").split("\n")
    if texts and not texts[-1]:
        texts.pop()
    lines = tuple(shorten(one.rstrip("\r").rsplit("\r", 1)[-1], LONGEST) for one in texts)
    return Stretch(path, start, start + len(data), lines, size)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
